/* When work runs: late, on a thread of the simulator, in an order that the seed chooses. */
#define _GNU_SOURCE
#include "sim.h"

#include <time.h>
#include <unistd.h>

static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER, happened = PTHREAD_COND_INITIALIZER;
static uint64_t state = 0x9E3779B97F4A7C15u;
static int waiters, steps, lateness = 2;
static bool in_host_function;
static long idle_us = 20000;

unsigned kernel_us;

EXPORT void cudasim_seed(uint64_t seed) { state = (seed + 1) * 0x9E3779B97F4A7C15u; }
/* 0 eager: work runs at the next call; 1 sometimes; 2 drawn anew for each call; 3 only when waited for */
EXPORT void cudasim_lateness(int value) { lateness = value; }
EXPORT void cudasim_idle_us(long us) { idle_us = us; }
EXPORT void cudasim_kernel_us(unsigned us) { kernel_us = us; }

uint32_t chance(uint32_t below) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545F4914F6CDD1Du) >> 33) % below;
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool ready(const struct stream *stream) {
    if (!stream->head) return false;
    for (int i = 0; i < STREAMS; i++)
        if (by_index[i] && by_index[i] != stream && stream->head->clock.at[i] > by_index[i]->executed)
            return false;
    return true;
}

static bool contains(const uint64_t *set, const uint64_t *part) {
    for (int i = 0; i < NODES / 64; i++)
        if (part[i] & ~set[i]) return false;
    return true;
}

static void execute(struct op *op) {
    uint64_t done[NODES / 64] = {0};
    for (int left = op->count; left > 0; left--) {
        int candidates[NODES], n = 0;
        for (int i = 0; i < op->count; i++)
            if (!(done[i / 64] >> (i % 64) & 1) && (op->count == 1 || contains(done, op->works[i].before)))
                candidates[n++] = i;
        int node = candidates[chance((uint32_t)n)];
        in_host_function = op->works[node].kind == HOST;
        if (in_host_function) pthread_cond_broadcast(&happened);
        perform(&op->works[node]);
        in_host_function = false;
        done[node / 64] |= (uint64_t)1 << (node % 64);
    }
    op_done(op);
}

static bool run_one(void) {
    struct stream *candidates[STREAMS];
    int n = 0;
    for (int i = 0; i < STREAMS; i++)
        if (by_index[i] && ready(by_index[i])) candidates[n++] = by_index[i];
    if (!n) return false;
    /* Half of the time the stream created last goes first: what was begun first then waits longest. */
    execute(candidates[chance(2) ? n - 1 : (int)chance((uint32_t)n)]->head);
    pthread_cond_broadcast(&happened);
    return true;
}

static void *scheduler(void *unused) {
    (void)unused;
    lock();
    for (;;) {
        if (waiters || steps > 0) {
            if (steps > 0) steps--;
            if (run_one()) continue;
            steps = 0;
            pthread_cond_broadcast(&happened);
            pthread_cond_wait(&wanted, &the_lock);
            continue;
        }
        pthread_cond_broadcast(&happened);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += idle_us * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        /* Nobody called for a while: a device works on by itself. */
        if (pthread_cond_timedwait(&wanted, &the_lock, &until)) run_one();
    }
    return NULL;
}

void schedule_start(void) {
    pthread_t thread;
    legacy.executed = legacy.enqueued = 0;
    pthread_create(&thread, NULL, scheduler, NULL);
    pthread_detach(thread);
}

void schedule_background(bool query) {
    if (lateness == 0) steps = 1 << 20;
    else if (query && chance(2)) steps = 1;
    else if (lateness == 1 ? chance(2) : lateness == 2 && !chance(4)) steps = 1 + (int)chance(3);
    if (steps <= 0) return;
    pthread_cond_signal(&wanted);
    while (steps > 0 && !in_host_function) pthread_cond_wait(&happened, &the_lock);
}

void wait_for(struct stream *stream, uint32_t seq) {
    waiters++;
    while (stream->executed < seq) {
        pthread_cond_signal(&wanted);
        pthread_cond_wait(&happened, &the_lock);
    }
    waiters--;
}

void wait_blocking_streams(void) {
    for (int i = 0; i < STREAMS; i++) {
        if (!by_index[i] || !by_index[i]->blocking) continue;
        struct vclock clock = by_index[i]->clock;
        wait_for(by_index[i], by_index[i]->enqueued);
        confirm(&clock);
    }
}
