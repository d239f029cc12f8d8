// SPDX-License-Identifier: GPL-3.0-or-later
//
// The pools of N cores as spin sees them: steals, grants, claims, places under the caps, nudges, evictions. One
// process is one core. What src/ does between two accesses to shared memory is one step here; each access that
// another core may come between is a step of its own. README.md beside this file maps each step to its function.
//
// Letters are counted, not queued: they may overtake each other, which allows more than the queues do. That a letter
// is received at all, by a core that may be asleep, is the subject of sleep.pml.
//
// Time is chance: a waiter may be older than another by the fairness window or not; with AGES waiters keep their order
// of arrival, and only the window is chance. A timer fires when nothing else is under way (EARLY_TIMERS: when it likes).
//
// -D switches: N cores, P pools, SIZE of a pool, STORAGE connections over all pools, CLIENTS that wait or hold a
// server at once, CONNECTING at once, WAITING at most on one core and pool; REQUESTS, FAULTS
// (servers that die, connections that fail, waiters that give up): how many in a run (255 = without end). Defects to be found: README.md.

#ifndef N
#define N 3
#endif
#ifndef P
#define P 2
#endif
#ifndef SIZE
#define SIZE 1
#endif
#ifndef STORAGE
#define STORAGE 1
#endif
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef WAITING
#define WAITING 2
#endif
#ifndef CONNECTING
#define CONNECTING 2
#endif
#ifndef REQUESTS
#define REQUESTS 255
#endif
#ifndef FAULTS
#define FAULTS 255
#endif

#define NP (N * P)
#define NNP (N * N * P)
#define AT(c, p) ((c) * P + (p))
#define FT(from, to, p) (((from) * N + (to)) * P + (p))

// --- the board: shared (src/pool/board.h) ---
byte open_places[P];   // Board::size_
byte storage_places;   // Quota of the storage
byte line_idle[NP];    // Line::idle; its owner's published_idle_ is the same number
byte wanted[NP];       // Line::wanted
bool hungry[NP];       // hungry_cores; the owner's hungry_bit_
bool idle_bit[NP];     // idle_cores; the owner's idle_bit_

// --- mail under way ---
byte mail_steal[NNP];
byte mail_deny[NNP];
byte mail_answer[NNP];  // kGrant, solicited
byte mail_grant[NNP];   // kGrant, unasked
bool mail_nudge[NP];    // to; two of them say no more than one
bool mail_evict[NP];

// --- private to a core; global here, so that the monitor sees it ---
byte waiting[NP];
byte idle[NP];
byte lent[NP];
byte connecting[NP];
byte closing[NP];
byte leaving_answer[NNP];  // kLeaving, solicited
byte leaving_grant[NNP];   // kLeaving, unasked
byte asked[NNP];           // from: the thief, to: the victim
byte requests[NNP];        // steal_requests_; from: the thief
byte advertised[NP];
bool refused[NP];
bool changed[NP];
bool backoff[NP];  // now < retry_at_
bool timer[NP];    // retry_timer_
#ifdef AGES
byte ages[NP];         // waiters by order of arrival, one bit each: the oldest is the lowest
byte line_oldest[NP];  // Line::oldest_ns: the oldest's bit
#define OLDEST(c, q) (ages[AT(c, q)] & ~(ages[AT(c, q)] - 1))
#define ARRIVES(c, q) ages[AT(c, q)] = ages[AT(c, q)] | (1 << (REQUESTS - requests_left - 1))
#define OLDEST_GOES(c, q) ages[AT(c, q)] = ages[AT(c, q)] & (ages[AT(c, q)] - 1)
#define ONE_GOES(c, q) if :: OLDEST_GOES(c, q) :: waiting[AT(c, q)] > 0 -> ages[AT(c, q)] = OLDEST(c, q) fi
#else
#define ARRIVES(c, q) skip
#define OLDEST_GOES(c, q) skip
#define ONE_GOES(c, q) skip
#endif
bool busy[N];      // within a turn, or within ReleasePlace

// --- for the monitor only ---
byte held[P];       // places of a pool that have no server: being taken, being released
byte held_storage;
byte clients;       // that wait or hold a server
byte cores_met = 1; // cores are alike: the first request of a run comes to core 0, of the others to …
byte pools_met = 1;

byte requests_left = REQUESTS;
byte faults_left = FAULTS;
#define SPEND(left) if :: left < 255 -> left-- :: else fi

// --- sums -------------------------------------------------------------------------------------------------------

#if N == 2
#define SUM_CORES(f, p) (f(0, p) + f(1, p))
#else
#define SUM_CORES(f, p) (f(0, p) + f(1, p) + f(2, p))
#endif
#if P == 1
#define SUM_POOLS(f) (f(0))
#else
#define SUM_POOLS(f) (f(0) + f(1))
#endif
#if N == 2
#define SUM_TO(a, from, p) (a[FT(from, 0, p)] + a[FT(from, 1, p)])
#define SUM_BUSY (busy[0] + busy[1])
#else
#define SUM_TO(a, from, p) (a[FT(from, 0, p)] + a[FT(from, 1, p)] + a[FT(from, 2, p)])
#define SUM_BUSY (busy[0] + busy[1] + busy[2])
#endif

#define STEALS_PENDING(c, p) SUM_TO(asked, c, p)
#define LEAVING(c, p) (SUM_TO(leaving_answer, c, p) + SUM_TO(leaving_grant, c, p))
#define PASSPORTS(c, p) (SUM_TO(mail_answer, c, p) + SUM_TO(mail_grant, c, p))
#define ALIVE(c, p) (idle[AT(c, p)] + lent[AT(c, p)] + LEAVING(c, p) + PASSPORTS(c, p))
#define REAL(c, p) (ALIVE(c, p) + connecting[AT(c, p)] + closing[AT(c, p)])
#define SERVERS(p) SUM_CORES(REAL, p)
#define IDLE(c, p) idle[AT(c, p)]
#define WAITS(c, p) waiting[AT(c, p)]
#define ALL_WAITING(p) SUM_CORES(WAITS, p)
#define ON_THE_WAY(c, p) (changed[AT(c, p)] + connecting[AT(c, p)] + closing[AT(c, p)] + LEAVING(c, p) + PASSPORTS(c, p) \
  + SUM_TO(mail_steal, c, p) + SUM_TO(mail_deny, c, p) + mail_nudge[AT(c, p)] + mail_evict[AT(c, p)])
#define QUIET(p) (SUM_BUSY + SUM_CORES(ON_THE_WAY, p) == 0)
#define STUCK(c, p) (waiting[AT(c, p)] > 0 && !timer[AT(c, p)])
#define EAGER(c, p) (waiting[AT(c, p)] > 0 && !backoff[AT(c, p)])

// --- what must hold in every state --------------------------------------------------------------------------------

#define CONSERVED(p) (open_places[p] == SERVERS(p) + held[p])
#define CAPPED(p) (SERVERS(p) <= SIZE && open_places[p] <= SIZE)
// A pool at rest: no waiter beside an idle server; none beside a free place, unless a timer will bring it back.
#define SERVED(p) (!QUIET(p) || ALL_WAITING(p) == 0 || SUM_CORES(IDLE, p) == 0)
#define PLACED(p) (!QUIET(p) || SUM_CORES(STUCK, p) == 0 || open_places[p] == SIZE)
// All pools at rest: the place another pool has released is seen without the timer.
#define NOTICED(p) (SUM_POOLS(NOT_QUIET) > 0 || SUM_CORES(EAGER, p) == 0 || open_places[p] == SIZE \
  || storage_places == STORAGE)
#define NOT_QUIET(p) (!QUIET(p))

active proctype monitor() {
  bool server_lost_or_doubled, cap_exceeded, waiter_beside_an_idle_server, waiter_beside_a_free_place;  // false: named for what spin prints
end:
  do
  :: atomic { !CONSERVED(0) || storage_places != SUM_POOLS(SERVERS) + held_storage -> assert(server_lost_or_doubled) }
  :: atomic { !CAPPED(0) || SUM_POOLS(SERVERS) > STORAGE -> assert(cap_exceeded) }
  :: atomic { !SERVED(0) -> assert(waiter_beside_an_idle_server) }
  :: atomic { !PLACED(0) || !NOTICED(0) -> assert(waiter_beside_a_free_place) }
#if P == 2
  :: atomic { !CONSERVED(1) -> assert(server_lost_or_doubled) }
  :: atomic { !CAPPED(1) -> assert(cap_exceeded) }
  :: atomic { !SERVED(1) -> assert(waiter_beside_an_idle_server) }
  :: atomic { !PLACED(1) || !NOTICED(1) -> assert(waiter_beside_a_free_place) }
#endif
  od
}

// --- defects: each must be found ---
#ifdef GIVE_UP_CLAIM
#define CLAIM_LOST left--
#else
#define CLAIM_LOST changed[AT(me, p)] = 1; left = 0
#endif
#ifdef NO_LOOK_AFTER_HUNGER
#define LOOK_SEEK skip
#else
#define LOOK_SEEK Seek()
#endif
#ifdef SILENT_UNDO
#define UNDONE_NUDGE skip
#else
#define UNDONE_NUDGE NudgeHungry(p)
#endif
#ifdef SILENT_RELEASE
#define RELEASE_NUDGE(q) skip
#else
#define RELEASE_NUDGE(q) NudgeHungry(q)
#endif
#if P == 1
#define ON_PLACE_RELEASED skip
#define SOME_CHANGED (changed[AT(me, 0)])
#else
#define SOME_CHANGED (changed[AT(me, 0)] || changed[AT(me, 1)])
#ifdef SILENT_TO_OTHER_POOLS
#define TELL_OTHER_POOLS skip
#else
#define TELL_OTHER_POOLS NudgeHungry(1 - p)
#endif
#define ON_PLACE_RELEASED \
  TELL_OTHER_POOLS; if :: waiting[AT(me, 1 - p)] > 0 -> changed[AT(me, 1 - p)] = 1 :: else fi
#endif
#ifdef CAP_UNRESERVED
#define UNRESERVED_STEP \
  :: at == UNRESERVED -> open_places[p]++; storage_places++; connecting[AT(me, p)]++; left--; at = CONNECT
#else
#define UNRESERVED_STEP
#endif
#ifdef KEEP_CLAIM
#define LEAVE_FAILED(to, q) skip
#else
#define LEAVE_FAILED(to, q) wanted[AT(to, q)]++; mail_nudge[AT(to, q)] = 1
#endif
#ifdef SILENT_DEATH
#define DENY(from, to, q) skip
#else
#define DENY(from, to, q) mail_deny[FT(from, to, q)]++
#endif
#ifdef DROP_LATE_GRANT
#define ADOPT(q) if :: waiting[AT(me, q)] > 0 -> idle[AT(me, q)]++ :: else fi
#else
#define ADOPT(q) idle[AT(me, q)]++
#endif

// --- the turn ---------------------------------------------------------------------------------------------------------
// Of core `me`, on pool `p`. `at` is the step the core takes next: between two steps others take theirs. Each step
// makes at most one access to shared memory that others may come in between of, and all that is private up to the next.
//
//   REST ─▶ MATCH ⇄ CLAIM ─▶ GRANT ─▶ SEEK ⇄ RESERVE ─▶ PUBLISH ─▶ LOOK ⇄ RESERVE ─▶ GRANT ─▶ REST
//     └─▶ FREE ─▶ NUDGE ─▶ REST          └▶ UNDO ─▶ UNDONE
#define REST 0
#define MATCH 1     // RunGrants: MatchByAge; then AnswerSteals
#define CLAIM 2     // GrantToOlder: Board::Claim
#define GRANT 3     // GrantSurplus: Board::Claim
#define SEEK 4      // Seek before the board is written
#define LOOK 5      // Seek after it: LookAgain
#define RESERVE 6   // Board::TryReserve: the storage's compare-and-swap
#define UNDO 7      // … failed: the pool's place goes back
#define UNDONE 8    // … and who was turned away meanwhile is nudged
#define PUBLISH 9
#define FREE 10     // Board::Release: the storage's
#define NUDGE 11    // ReleasePlace after its fence
#define CONNECT 12  // SeekConnections
#define UNRESERVED 13  // only with the defect CAP_UNRESERVED

// NudgeHungry: one load of the set, a letter to each in it.
inline NudgeHungry(pool) {
  other = 0;
  do
  :: other < N -> if :: other != me && hungry[AT(other, pool)] -> mail_nudge[AT(other, pool)] = 1 :: else fi; other++
  :: else -> break
  od;
  other = 0
}

// Hungriest: with AGES, the core whose oldest waiter came first, of those with a waiter nobody has claimed. Else any
// of them: age is chance. N = none.
#define MAY_HAVE(c) (me != c && hungry[AT(c, p)] && wanted[AT(c, p)] > 0)

inline Hungriest() {
#ifdef AGES
  other = N;
  if :: MAY_HAVE(0) -> other = 0 :: else fi;
  if :: MAY_HAVE(1) -> if :: other == N || line_oldest[AT(1, p)] < line_oldest[AT(other, p)] -> other = 1 :: else fi :: else fi;
#if N == 3
  if :: MAY_HAVE(2) -> if :: other == N || line_oldest[AT(2, p)] < line_oldest[AT(other, p)] -> other = 2 :: else fi :: else fi;
#endif
  skip
#else
  if
  :: MAY_HAVE(0) -> other = 0
  :: MAY_HAVE(1) -> other = 1
#if N == 3
  :: MAY_HAVE(2) -> other = 2
#endif
  :: else -> other = N
  fi
#endif
}

#ifdef GRANT_WITHOUT_CLAIM
#define TAKE_CLAIM skip
#else
#define TAKE_CLAIM wanted[AT(other, p)]--
#endif

inline Lend() { idle[AT(me, p)]--; waiting[AT(me, p)]--; OLDEST_GOES(me, p); lent[AT(me, p)]++ }
inline LeaveUnasked() { TAKE_CLAIM; idle[AT(me, p)]--; leaving_grant[FT(me, other, p)]++ }

// GrantSurplus up to the claim.
inline BeginSurplus() {
  if :: waiting[AT(me, p)] == 0 -> left = idle[AT(me, p)] :: else -> left = 0 fi;
  if :: left > 0 -> Hungriest() :: else -> other = N fi;
  if :: other < N -> at = GRANT :: else -> left = 0; other = 0 fi
}

// The next pool of this turn with work, or the next stage.
inline NextPool() {
  p++;
  if
  :: p < P && !looking && !sought && changed[AT(me, p)] -> BeginGrants()
  :: p < P && (looking || sought) && due[p] -> if :: looking -> at = LOOK :: else -> at = SEEK fi
  :: else ->
     if
     :: !looking && !sought -> sought = 1; p = 0; if :: due[0] -> skip :: else -> p = 1 fi; at = SEEK
     :: !looking && sought -> sought = 0; p = 0; at = PUBLISH
     :: else -> Rest()
     fi
  fi
}

inline Rest() {
  p = 0; other = 0; left = 0; looking = 0; sought = 0; due[0] = 0; due[P - 1] = 0; at = REST; busy[me] = 0
}

inline BeginGrants() {
  changed[AT(me, p)] = 0;
  due[p] = 1;
  left = waiting[AT(me, p)] + idle[AT(me, p)];
  at = MATCH
}

#ifdef AGES
#define OLDER_THERE other < N && line_oldest[AT(other, p)] < OLDEST(me, p)
#else
#define OLDER_THERE other < N
#endif

// MatchByAge up to the next claim.
inline Match() {
  do
  :: at == MATCH && left > 0 && waiting[AT(me, p)] > 0 && idle[AT(me, p)] > 0 ->
     left--;
     Hungriest();
     if
     :: OLDER_THERE -> at = CLAIM  // … by more than the window
     :: Lend(); other = 0
     fi
  :: else -> break
  od
}

inline AnswerSteals() {
  left = 0;
  other = 0;
  do
  :: other < N && requests[FT(other, me, p)] > 0 ->
     requests[FT(other, me, p)]--;
     if
     :: waiting[AT(me, p)] == 0 && idle[AT(me, p)] > 0 -> idle[AT(me, p)]--; leaving_answer[FT(me, other, p)]++
     :: else -> refused[AT(me, p)] = 1; mail_deny[FT(me, other, p)]++
     fi
  :: other < N && requests[FT(other, me, p)] == 0 -> other++
  :: else -> break
  od;
  other = 0
}

// hopeless(): no server of the pool lives, and none can be made soon.
#define HOPELESS(c, q) (SUM_CORES(ALIVE, q) + connecting[AT(c, q)] + STEALS_PENDING(c, q) == 0)

inline RefuseHopeless() {
  if
  :: waiting[AT(me, p)] > 0 && backoff[AT(me, p)] && HOPELESS(me, p) ->
     clients = clients - waiting[AT(me, p)];
#ifdef AGES
     ages[AT(me, p)] = 0;
#endif
     waiting[AT(me, p)] = 0
  :: else
  fi
}

// SeekSteals: the victim is a matter of policy, so any that shows more than it was asked for.
inline SeekSteals() {
  do
  :: left > 0 ->
     if
     :: me != 0 && idle_bit[AT(0, p)] && line_idle[AT(0, p)] > asked[FT(me, 0, p)] -> other = 0
     :: me != 1 && idle_bit[AT(1, p)] && line_idle[AT(1, p)] > asked[FT(me, 1, p)] -> other = 1
#if N == 3
     :: me != 2 && idle_bit[AT(2, p)] && line_idle[AT(2, p)] > asked[FT(me, 2, p)] -> other = 2
#endif
     :: else -> other = N
     fi;
     if
     :: other < N -> asked[FT(me, other, p)]++; mail_steal[FT(me, other, p)]++; left--
     :: else -> left = 0
     fi
  :: else -> break
  od;
  other = 0
}

// WantPlace: an idle server of another pool here, or of any core that shows one.
inline WantPlace() {
#if P == 2
  if
  :: waiting[AT(me, 1 - p)] == 0 && idle[AT(me, 1 - p)] > 0 ->
     idle[AT(me, 1 - p)]--; closing[AT(me, 1 - p)]++; changed[AT(me, 1 - p)] = 1
  :: else ->
     if
     :: me != 0 && line_idle[AT(0, 1 - p)] > 0 -> other = 0
     :: me != 1 && line_idle[AT(1, 1 - p)] > 0 -> other = 1
#if N == 3
     :: me != 2 && line_idle[AT(2, 1 - p)] > 0 -> other = 2
#endif
     :: else -> other = N
     fi;
     if :: other < N -> mail_evict[AT(other, 1 - p)] = 1 :: else fi;
     other = 0
  fi
#else
  skip
#endif
}

inline StorageFull() {
  if :: !timer[AT(me, p)] -> WantPlace(); timer[AT(me, p)] = 1 :: else fi;
  left = 0
}

// Seek: steals at once; `left` is how many connections to seek.
#define COMING(c, q) (STEALS_PENDING(c, q) + advertised[AT(c, q)] - wanted[AT(c, q)])

inline Seek() {
  if
  :: waiting[AT(me, p)] > 0 ->
     assert(wanted[AT(me, p)] <= advertised[AT(me, p)]);
     if :: waiting[AT(me, p)] > COMING(me, p) -> left = waiting[AT(me, p)] - COMING(me, p) :: else fi;
     SeekSteals();
     if
     :: waiting[AT(me, p)] > COMING(me, p) + connecting[AT(me, p)] && !backoff[AT(me, p)] ->
        left = waiting[AT(me, p)] - COMING(me, p) - connecting[AT(me, p)]
     :: else
     fi
  :: else
  fi
}

// SeekConnections up to the storage's quota. Two loads and the pool's compare-and-swap are one step: a load that says
// "full" ends it, one that does not is repeated by the compare-and-swap.
inline BeginReserve() {
  if
  :: left > 0 && connecting[AT(me, p)] < CONNECTING ->
     if
     :: open_places[p] >= SIZE -> left = 0
     :: open_places[p] < SIZE && storage_places >= STORAGE -> StorageFull()
     :: else ->
#ifdef CAP_UNRESERVED
        at = UNRESERVED
#else
        open_places[p]++; held[p]++; at = RESERVE
#endif
     fi
  :: else -> left = 0
  fi
}

inline AfterSeek() {
#ifndef NO_LOOK_AFTER_PARK
  if :: looking -> BeginSurplus() :: else fi;
#endif
  if :: at != GRANT -> NextPool() :: else fi
}

// Advertise and the rest of Publish. What it writes becomes visible at once here: in between, a waiter is claimed
// only with bit and count both set, and a server asked for likewise.
inline Publish() {
  left = waiting[AT(me, p)];
  if
  :: left > STEALS_PENDING(me, p) -> left = left - STEALS_PENDING(me, p)
  :: else -> left = 0
  fi;
  if
  :: advertised[AT(me, p)] < left ->
     wanted[AT(me, p)] = wanted[AT(me, p)] + left - advertised[AT(me, p)];
     advertised[AT(me, p)] = left
  :: else ->
     do
     :: advertised[AT(me, p)] > left && wanted[AT(me, p)] > 0 -> wanted[AT(me, p)]--; advertised[AT(me, p)]--
     :: else -> break
     od
  fi;
  hungry[AT(me, p)] = (left > 0);
#ifdef AGES
  if :: left > 0 -> line_oldest[AT(me, p)] = OLDEST(me, p) :: else -> line_oldest[AT(me, p)] = 0 fi;
#endif
  if :: left > 0 || idle[AT(me, p)] > line_idle[AT(me, p)] -> looking = 1 :: else fi;
  left = 0;
  line_idle[AT(me, p)] = idle[AT(me, p)];
  if
  :: idle[AT(me, p)] > 0 -> idle_bit[AT(me, p)] = 1
  :: idle[AT(me, p)] == 0 && refused[AT(me, p)] -> idle_bit[AT(me, p)] = 0
  :: else
  fi;
  refused[AT(me, p)] = 0
}

// Steps that begin with an access to shared memory.
#define STEPS                                                                                                \
  :: at == CLAIM ->                                                                                          \
     if :: wanted[AT(other, p)] > 0 -> LeaveUnasked() :: else -> Lend() fi;                                  \
     other = 0;                                                                                              \
     at = MATCH                                                                                              \
  :: at == GRANT ->                                                                                          \
     if                                                                                                      \
     :: wanted[AT(other, p)] > 0 -> LeaveUnasked(); left--                                                   \
     :: else -> CLAIM_LOST                                                                                   \
     fi;                                                                                                     \
     if :: left > 0 -> Hungriest() :: else -> other = N fi;                                                  \
     if :: other == N -> left = 0; other = 0; NextPool() :: else fi                                          \
  :: at == RESERVE ->                                                                                        \
     if                                                                                                      \
     :: storage_places < STORAGE ->                                                                          \
        storage_places++; held[p]--; connecting[AT(me, p)]++; left--;                                        \
        at = CONNECT                                                                                         \
     :: else -> at = UNDO                                                                                    \
     fi                                                                                                      \
  :: at == UNDO -> open_places[p]--; held[p]--; at = UNDONE                                                  \
  :: at == UNDONE -> UNDONE_NUDGE; StorageFull(); at = CONNECT                                               \
  :: at == PUBLISH ->                                                                                        \
     do                                                                                                      \
     :: p < P && due[p] -> Publish(); p++                                                                    \
     :: p < P && !due[p] -> p++                                                                              \
     :: else -> break                                                                                        \
     od;                                                                                                     \
     p = 0;                                                                                                  \
     if                                                                                                      \
     :: looking -> if :: due[0] -> skip :: else -> p = 1 fi; at = LOOK                                       \
     :: else -> Rest()                                                                                       \
     fi                                                                                                      \
  :: at == LOOK -> LOOK_SEEK; at = CONNECT                                                                   \
  :: at == FREE -> storage_places--; held_storage--; at = NUDGE                                              \
  :: at == NUDGE ->                                                                                          \
     RELEASE_NUDGE(p);                                                                                       \
     if :: waiting[AT(me, p)] > 0 -> changed[AT(me, p)] = 1 :: else fi;                                      \
     ON_PLACE_RELEASED;                                                                                      \
     p = 0;                                                                                                  \
     busy[me] = 0;                                                                                           \
     at = REST                                                                                               \
  UNRESERVED_STEP

// What follows a step within the core: on to the next access that others may come before.
inline GoOn() {
  if
  :: at == REST && SOME_CHANGED -> BeginTurn()
#ifdef BATCH
  :: at == REST  // more may happen before the turn
#endif
  :: else
  fi;
  do
  :: at == MATCH ->
     Match();
     if
     :: at == MATCH ->
        if :: waiting[AT(me, p)] > 0 && idle[AT(me, p)] > 0 -> changed[AT(me, p)] = 1 :: else fi;
        AnswerSteals();
        RefuseHopeless();
        BeginSurplus();
        if :: at == MATCH -> NextPool() :: else fi
     :: else
     fi
  :: at == SEEK -> Seek(); at = CONNECT
  :: at == CONNECT -> BeginReserve(); if :: at == CONNECT -> AfterSeek() :: else fi
  :: else -> break
  od
}

inline BeginTurn() {
  busy[me] = 1;
  if :: changed[AT(me, 0)] -> skip :: else -> p = 1 fi;
  BeginGrants()
}

// --- what happens to a core between two turns -------------------------------------------------------------------------

// Timers are slower than all else (100 ms are, to mail): else one could fire for ever and nothing would happen in the end.
#ifndef EARLY_TIMERS
#define LENT(c, q) lent[AT(c, q)]
#define LENT_IN(q) SUM_CORES(LENT, q)
#define TIMER_DUE (SUM_POOLS(NOT_QUIET) + SUM_POOLS(LENT_IN) == 0)
#else
#define TIMER_DUE true
#endif

#define HUNGRY(c, q) (c != me && hungry[AT(c, q)])
#define OTHERS_HUNGRY(q) (SUM_CORES(HUNGRY, q) > 0)

#define EVENT at == REST

#define CLIENTS_DO(q)                                                                                        \
  :: EVENT && clients < CLIENTS && waiting[AT(me, q)] < WAITING && requests_left > 0 && me < cores_met && q < pools_met -> /* Checkout */ \
     if :: me + 1 == cores_met -> cores_met++ :: else fi; if :: q + 1 == pools_met -> pools_met++ :: else fi; \
       SPEND(requests_left);                                                                                 \
       clients++;                                                                                            \
       if                                                                                                    \
       :: waiting[AT(me, q)] == 0 && idle[AT(me, q)] > 0 && !OTHERS_HUNGRY(q) ->                             \
          idle[AT(me, q)]--; lent[AT(me, q)]++                                                               \
       :: else -> waiting[AT(me, q)]++; ARRIVES(me, q); changed[AT(me, q)] = 1                                               \
       fi                                                                                                    \
  :: EVENT && lent[AT(me, q)] > 0 -> /* Return */                                                            \
       clients--; lent[AT(me, q)]--; idle[AT(me, q)]++; changed[AT(me, q)] = 1                               \
  :: EVENT && waiting[AT(me, q)] > 0 && faults_left > 0 -> /* Leave, OnWaitTimeout */                        \
       SPEND(faults_left);                                                                                   \
       clients--; waiting[AT(me, q)]--; ONE_GOES(me, q); changed[AT(me, q)] = 1

#define SERVERS_DO(q)                                                                                        \
  :: EVENT && connecting[AT(me, q)] > 0 -> /* OnLogin */                                                     \
       connecting[AT(me, q)]--; idle[AT(me, q)]++; backoff[AT(me, q)] = 0; changed[AT(me, q)] = 1            \
  :: EVENT && connecting[AT(me, q)] > 0 && faults_left > 0 -> /* OnConnectFailed */                        \
       SPEND(faults_left);                                                                                 \
       connecting[AT(me, q)]--; closing[AT(me, q)]++; changed[AT(me, q)] = 1;                                \
       backoff[AT(me, q)] = 1; timer[AT(me, q)] = 1                                                          \
  :: EVENT && idle[AT(me, q)] > 0 && faults_left > 0 -> /* OnBroken, CloseAged */                            \
       SPEND(faults_left);                                                                                   \
       idle[AT(me, q)]--; closing[AT(me, q)]++; changed[AT(me, q)] = 1                                       \
  :: EVENT && lent[AT(me, q)] > 0 && faults_left > 0 ->                                                      \
       SPEND(faults_left);                                                                                   \
       clients--; lent[AT(me, q)]--; closing[AT(me, q)]++; changed[AT(me, q)] = 1                            \
  :: EVENT && closing[AT(me, q)] > 0 -> /* OnClosed */                                                       \
       busy[me] = 1; closing[AT(me, q)]--; open_places[q]--; held_storage++; p = q; at = FREE                \
  :: EVENT && timer[AT(me, q)] && TIMER_DUE ->                                                               \
       timer[AT(me, q)] = 0; backoff[AT(me, q)] = 0; changed[AT(me, q)] = 1                                  \
  :: EVENT && mail_nudge[AT(me, q)] -> mail_nudge[AT(me, q)] = 0; changed[AT(me, q)] = 1                     \
  :: EVENT && mail_evict[AT(me, q)] -> /* Evict */                                                           \
       mail_evict[AT(me, q)] = 0; changed[AT(me, q)] = 1;                                                    \
       if                                                                                                    \
       :: waiting[AT(me, q)] == 0 && idle[AT(me, q)] > 0 -> idle[AT(me, q)]--; closing[AT(me, q)]++          \
       :: else                                                                                               \
       fi

// Servers that leave for core `to`, and mail from it.
#define MAIL_DO(to, q)                                                                                       \
  :: EVENT && leaving_answer[FT(me, to, q)] > 0 -> /* OnLeft */                                              \
       leaving_answer[FT(me, to, q)]--; mail_answer[FT(me, to, q)]++                                         \
  :: EVENT && leaving_grant[FT(me, to, q)] > 0 ->                                                            \
       leaving_grant[FT(me, to, q)]--; mail_grant[FT(me, to, q)]++                                           \
  :: EVENT && leaving_answer[FT(me, to, q)] > 0 && faults_left > 0 -> /* OnBroken, OnLeaveFailed */          \
       SPEND(faults_left);                                                                                   \
       leaving_answer[FT(me, to, q)]--; closing[AT(me, q)]++; changed[AT(me, q)] = 1;                        \
       DENY(me, to, q)                                                                                       \
  :: EVENT && leaving_grant[FT(me, to, q)] > 0 && faults_left > 0 ->                                         \
       SPEND(faults_left);                                                                                   \
       leaving_grant[FT(me, to, q)]--; closing[AT(me, q)]++; changed[AT(me, q)] = 1;                         \
       LEAVE_FAILED(to, q)                                                                                    \
  :: EVENT && mail_steal[FT(to, me, q)] > 0 ->                                                               \
       mail_steal[FT(to, me, q)]--; requests[FT(to, me, q)]++; changed[AT(me, q)] = 1                        \
  :: EVENT && mail_deny[FT(to, me, q)] > 0 ->                                                                \
       assert(asked[FT(me, to, q)] > 0);                                                                     \
       mail_deny[FT(to, me, q)]--; asked[FT(me, to, q)]--; changed[AT(me, q)] = 1                            \
  :: EVENT && mail_answer[FT(to, me, q)] > 0 -> /* Adopt */                                                  \
       assert(asked[FT(me, to, q)] > 0);                                                                     \
       mail_answer[FT(to, me, q)]--; asked[FT(me, to, q)]--; changed[AT(me, q)] = 1;      \
       ADOPT(q)                                                                                               \
  :: EVENT && mail_grant[FT(to, me, q)] > 0 ->                                                               \
       assert(advertised[AT(me, q)] > 0);                                                                    \
       mail_grant[FT(to, me, q)]--; advertised[AT(me, q)]--; changed[AT(me, q)] = 1;      \
       ADOPT(q)

proctype core(byte me) {
  byte at, p, other, left;
  bool due[P];
  bool sought, looking;
end:
  do
  :: atomic {
       if
       STEPS
       CLIENTS_DO(0)
       SERVERS_DO(0)
       MAIL_DO(0, 0)
       MAIL_DO(1, 0)
#if N == 3
       MAIL_DO(2, 0)
#endif
#if P == 2
       CLIENTS_DO(1)
       SERVERS_DO(1)
       MAIL_DO(0, 1)
       MAIL_DO(1, 1)
#if N == 3
       MAIL_DO(2, 1)
#endif
#endif
#ifdef BATCH
       :: at == REST && SOME_CHANGED -> BeginTurn()
#endif
       fi;
       GoOn()
     }
  od
}

init {
  atomic {
    run core(0); run core(1)
#if N == 3
    ; run core(2)
#endif
  }
}

#define NOBODY_WAITS (SUM_POOLS(ALL_WAITING) == 0)
#ifdef LIVENESS
ltl served { <> [] NOBODY_WAITS }
#endif
