"""Objects that are told of the events of training: ``lamina.callbacks``."""

from lamina.callbacks.files import BackupAndRestore, CSVLogger, ModelCheckpoint
from lamina.callbacks.functions import LambdaCallback, RemoteMonitor, SwapEMAWeights, TerminateOnNaN
from lamina.callbacks.histograms import Histograms
from lamina.callbacks.monitor import EarlyStopping, LearningRateScheduler, MonitorCallback, ReduceLROnPlateau
from lamina.callbacks.probe import TrainingLoss
from lamina.callbacks.tensorboard import TensorBoard
from lamina.training.callbacks import Callback, CallbackList, ProgbarLogger
from lamina.training.history import History

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "Histograms",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "TrainingLoss",
]
