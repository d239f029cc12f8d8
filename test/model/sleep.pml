// SPDX-License-Identifier: GPL-3.0-or-later
//
// Mail between N cores as spin sees it, and how a core goes to sleep without missing a letter. Each access to memory
// that cores share is a step of its own: the queues, the pending bits, the asleep flags, the rings' doorbells.
// README.md beside this file maps each step to its function. A queue has room for one letter, so that letters also
// wait at their sender. Nothing but mail wakes a core here: no client, no timer.
//
// -D switches: N cores, LETTERS that each core sends, to whom it likes. Defects to be found: README.md.

#ifndef N
#define N 3
#endif
#ifndef LETTERS
#define LETTERS 2
#endif

#define FT(from, to) ((from) * N + (to))

bool queue[N * N];    // SpscQueue with one cell
byte pending[N];      // Desk::pending: one bit a sender
bool asleep[N];       // Desk::asleep
bool bell[N];         // a wake that has reached the ring
byte outbox[N * N];   // Mailer: behind a full queue
byte left[N];         // letters a core will still send
byte taken;           // letters received, by all
bool started;
bool in_ring[N];      // the core waits for its ring: monitor only

#if N == 2
#define ALL_IN_RING (in_ring[0] && !bell[0] && in_ring[1] && !bell[1])
#else
#define ALL_IN_RING (in_ring[0] && !bell[0] && in_ring[1] && !bell[1] && in_ring[2] && !bell[2])
#endif
#define ALL_READ (taken == N * LETTERS)

active proctype monitor() {
  bool letter_nobody_is_woken_for, letter_doubled;  // false: named for what spin prints
end:
  do
  :: atomic { ALL_IN_RING && !ALL_READ -> assert(letter_nobody_is_woken_for) }
  :: atomic { taken > N * LETTERS -> assert(letter_doubled) }
  od
}

// Mailer::Send: the queue when nothing waits before it, else the outbox.
inline Send(to) {
  atomic {
    if
    :: outbox[FT(me, to)] == 0 && !queue[FT(me, to)] -> queue[FT(me, to)] = 1
    :: else -> outbox[FT(me, to)]++
    fi;
    left[me]--;
    dirty = dirty | (1 << to)
  }
}

// Mailer::Flush of one receiver: TryPush, PostOffice::Announce, Ring::Wake.
inline Flush(to) {
  if
  :: dirty & (1 << to) ->
     atomic {
       if :: outbox[FT(me, to)] > 0 && !queue[FT(me, to)] -> outbox[FT(me, to)]--; queue[FT(me, to)] = 1 :: else fi;
       if :: outbox[FT(me, to)] == 0 -> dirty = dirty & ~(1 << to) :: else fi
     };
#ifdef LOOKS_BEFORE_IT_ANNOUNCES
     atomic { wake = asleep[to] };
     pending[to] = pending[to] | (1 << me);
#else
     pending[to] = pending[to] | (1 << me);
     atomic { wake = asleep[to] };
#endif
     if
     :: atomic { wake -> wake = asleep[to]; asleep[to] = 0 };  // the exchange: one waker is enough
        if :: atomic { wake -> wake = 0; wakes = wakes | (1 << to) } :: else fi
     :: else
     fi
  :: else
  fi
}

// Mailer::Receive of one sender: until its queue is empty.
inline Receive(from) {
  if
  :: senders & (1 << from) ->
     do
     :: atomic { queue[FT(from, me)] -> queue[FT(from, me)] = 0; taken++ }
     :: else -> break
     od
  :: else
  fi
}

// io_uring_submit: the wakes that this turn asked for.
inline Submit(to) {
  if :: atomic { wakes & (1 << to) -> bell[to] = 1; wakes = wakes & ~(1 << to) } :: else fi
}

proctype core(byte me) {
  byte senders, dirty, wakes;
  bool wake;
  do
  :: // TakePending
#ifdef CLEARS_AFTER_READING
     senders = pending[me];
     Receive(0); Receive(1);
#if N == 3
     Receive(2);
#endif
     atomic { senders = 0; pending[me] = 0 };
#else
     atomic { senders = pending[me]; pending[me] = 0 };
     Receive(0); Receive(1);
#if N == 3
     Receive(2);
#endif
     senders = 0;
#endif
     // The turn: it sends, or not.
     do
     :: left[me] > 0 && me != 0 -> Send(0)
     :: left[me] > 0 && me != 1 -> Send(1)
#if N == 3
     :: left[me] > 0 && me != 2 -> Send(2)
#endif
     :: break
     od;
     Flush(0); Flush(1);
#if N == 3
     Flush(2);
#endif
     // NextDeadline, BeginSleep: `dirty` has the outboxes that still hold something; who has letters to send will
     // have a reason to wake up.
     if
#ifdef SLEEPS_BACKED_UP
     :: left[me] == 0 && pending[me] == 0 ->
#else
     :: dirty == 0 && left[me] == 0 && pending[me] == 0 ->
#endif
#ifdef LOOKS_BEFORE_IT_SAYS
        pending[me] == 0;
        asleep[me] = 1;
#else
        asleep[me] = 1;
        if
        :: pending[me] == 0
        :: else -> asleep[me] = 0; goto awake
        fi;
#endif
        Submit(0); Submit(1);
#if N == 3
        Submit(2);
#endif
        in_ring[me] = 1;
end:    atomic { bell[me] -> bell[me] = 0; in_ring[me] = 0 };
        asleep[me] = 0  // EndSleep
     :: else ->
awake:  Submit(0); Submit(1);
#if N == 3
        Submit(2);
#endif
        bell[me] = 0
     fi
  od
}

init {
  atomic {
    left[0] = LETTERS; left[1] = LETTERS;
#if N == 3
    left[2] = LETTERS; run core(2);
#endif
    run core(0); run core(1);
    started = 1
  }
}

// Every letter that is sent is read in the end, under weak fairness.
#if N == 2
#define SENT (N * LETTERS - left[0] - left[1])
#else
#define SENT (N * LETTERS - left[0] - left[1] - left[2])
#endif
#ifdef LIVENESS
ltl read { <> [] (started && SENT == taken) }
#endif
