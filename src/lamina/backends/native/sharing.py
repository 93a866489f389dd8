"""Sharing the chunks of a kernel out to the threads.

Every thread has a share of a kernel's chunks: the same numbers in each kernel, so that it meets
again what it has in its cache.  Where there is work enough to bother, a share is claimed chunk by
chunk from a counter, and who is done with all of its shares in a phase takes from the others'.  So
a thread that wakes late, or whose core is needed by somebody else, does less and delays nobody.
What a chunk computes depends on its number only: results are the same whoever computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lamina.backends.native.emit import Function

CLAIMED_WORK = 1 << 16  # kernels with less work are cut into shares once and for all
CLAIM_BYTES = 64  # a counter has a cache line of its own

SHARE_IR = """
; What is left of the owner's share of a kernel's chunks, one by one.
define internal void @lamina_take(ptr %kernel, ptr %block, i64 %chunks, ptr %claims, i64 %row, i64 %owner, i64 %nt)
    noinline nounwind {
entry:
  %alone = icmp eq i64 %nt, 1
  br i1 %alone, label %all, label %share
all:
  call void %kernel(ptr %block, i64 0, i64 %chunks)
  ret void
share:
  %before = mul i64 %owner, %chunks
  %low = udiv i64 %before, %nt
  %until = add i64 %before, %chunks
  %high = udiv i64 %until, %nt
  %count = sub i64 %high, %low
  %at = mul i64 %owner, %row
  %claim = getelementptr i8, ptr %claims, i64 %at
  br label %again
again:
  %seen = load atomic i64, ptr %claim monotonic, align 8
  %open = icmp ult i64 %seen, %count
  br i1 %open, label %try, label %out
try:
  %turn = atomicrmw add ptr %claim, i64 1 monotonic, align 8
  %mine = icmp ult i64 %turn, %count
  br i1 %mine, label %work, label %out
work:
  %c0 = add i64 %low, %turn
  %c1 = add i64 %c0, 1
  call void %kernel(ptr %block, i64 %c0, i64 %c1)
  br label %again
out:
  ret void
}

; What is left of all others' shares.
define internal void @lamina_help(ptr %kernel, ptr %block, i64 %chunks, ptr %claims, i64 %row, i64 %tid, i64 %nt)
    noinline nounwind {
entry:
  br label %next
next:
  %i = phi i64 [1, %entry], [%more, %take]
  %done = icmp uge i64 %i, %nt
  br i1 %done, label %out, label %take
take:
  %after = add i64 %tid, %i
  %over = icmp uge i64 %after, %nt
  %wrapped = sub i64 %after, %nt
  %owner = select i1 %over, i64 %wrapped, i64 %after
  call void @lamina_take(ptr %kernel, ptr %block, i64 %chunks, ptr %claims, i64 %row, i64 %owner, i64 %nt)
  %more = add i64 %i, 1
  br label %next
out:
  ret void
}
"""


@dataclass(frozen=True)
class Shared:
    """A kernel whose chunks are claimed.

    Attributes:
        name: of the kernel.
        block: SSA name of the pointer to its addresses.
        chunks: how many it has.
        number: which counter it has.
    """

    name: str
    block: str
    chunks: int
    number: int


class Sharing:
    """Writes the claiming of chunks into the SPMD function.

    A thread's counters lie side by side in a row.  They are zero when a phase begins: after its barrier each
    thread clears its own.  A thread that is still to do so leaves a full count behind, from which nobody takes.

    Args:
        f: the function, whose parameters are ``tid`` and ``nt``.
        claims: SSA name of the pointer to the counters.
        count: how many counters a thread has.
    """

    def __init__(self, f: Function, claims: str, count: int) -> None:
        self.f, self.claims, self.row = f, claims, row_bytes(count)

    def own(self, kernel: Shared) -> None:
        """The thread's own share."""
        self._call("take", kernel)

    def help(self, kernel: Shared) -> None:
        """What the others have left."""
        self._call("help", kernel)

    def clear(self, kernels: list[Shared]) -> None:
        """Make the counters ready for the next time, once all threads are done."""
        own = self.f.address(self.claims, self.f.imul("%tid", self.row), "i8")
        for kernel in kernels:
            at = self.f.address(own, kernel.number * CLAIM_BYTES, "i8")
            self.f.e(f"store atomic i64 0, ptr {at} monotonic, align 8")

    def _call(self, what: str, kernel: Shared) -> None:
        claims = self.f.address(self.claims, kernel.number * CLAIM_BYTES, "i8")
        self.f.e(
            f"call void @lamina_{what}(ptr @{kernel.name}, ptr {kernel.block}, i64 {kernel.chunks}, ptr {claims}, "
            f"i64 {self.row}, i64 %tid, i64 %nt)"
        )


def row_bytes(count: int) -> int:
    """The size of a thread's counters."""
    return CLAIM_BYTES * max(1, count)


def share_out(f: Function, chunks: int, single: int, call: Callable[[str | int, str | int], None]) -> None:
    """Have each thread (``%tid`` of ``%nt``) call a kernel for its share of the chunks, and no more.

    Args:
        f: the function being written.
        chunks: how many there are.
        single: where there is one: the number of this kernel among such, which take turns over the threads.
        call: writes the call for chunks ``[low, high)``.
    """
    if chunks == 1:
        turn = f.v(f"urem i64 {single}, %nt")
        mine = f.v(f"icmp eq i64 {turn}, %tid")
        f.when(mine, lambda: call(0, 1))
        return
    low = f.v(f"udiv i64 {f.imul('%tid', chunks)}, %nt")
    high = f.v(f"udiv i64 {f.imul(f.iadd('%tid', 1), chunks)}, %nt")
    some = f.v(f"icmp slt i64 {low}, {high}")
    f.when(some, lambda: call(low, high))
