/* Which work must come before which, by vector clocks over the order of each stream, events and what
   the host has waited for; and what breaks that order, whether or not this run was unlucky. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct stream legacy = {.live = true, .blocking = true};
struct stream *by_index[STREAMS] = {&legacy};
static struct vclock host;       /* all that the host knows to be done */
static struct op *unsure;        /* all work that it does not know to be done, newest first */

void join(struct vclock *into, const struct vclock *from) {
    for (int i = 0; i < STREAMS; i++)
        if (from->at[i] > into->at[i]) into->at[i] = from->at[i];
}

struct stream *stream_create(unsigned flags, int priority) {
    int index = 1;
    /* The place of a destroyed stream is free again once the host knows its work to be done. */
    while (index < STREAMS && by_index[index] &&
           (by_index[index]->live || by_index[index]->head ||
            host.at[index] < by_index[index]->enqueued))
        index++;
    if (index == STREAMS) return NULL;
    struct stream *stream = calloc(1, sizeof *stream);
    if (by_index[index]) stream->enqueued = stream->executed = by_index[index]->enqueued;
    stream->index = index;
    stream->live = true;
    stream->flags = flags;
    stream->priority = priority;
    stream->blocking = !(flags & 1);
    stream->clock = host;
    by_index[index] = stream;
    return stream;
}

static void op_free(struct op *op) {
    free(op->works);
    free(op);
}

void confirm(const struct vclock *clock) {
    join(&host, clock);
    for (struct op **link = &unsure; *link;) {
        struct op *op = *link;
        if (op->seq > host.at[op->stream->index]) {
            link = &op->older;
            continue;
        }
        *link = op->older;
        op->listed = false;
        if (op->done) op_free(op);
    }
}

static bool overlap(const struct access *a, const struct access *b) {
    return a->bytes < b->bytes + b->size && b->bytes < a->bytes + a->size;
}

static void race(const struct work *late, const struct access *a, const struct work *early,
                 const struct access *b, const char *where) {
    fault_in(late->call, "race", "%s bytes of buffer %d, which %s %s%s: nothing orders the two",
             a->write ? "writes" : "reads", a->buffer ? a->buffer->id : -1, early->call,
             b->write ? "writes" : "reads", where);
}

static void races(const struct work *late, const struct work *early, const char *where) {
    count(RACES_CHECKED, 1);
    for (int i = 0; i < late->count; i++)
        for (int j = 0; j < early->count; j++)
            if ((late->access[i].write || early->access[j].write) &&
                overlap(&late->access[i], &early->access[j])) {
                race(late, &late->access[i], early, &early->access[j], where);
                return;
            }
}

void races_in_graph(const struct work *works, int n) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (!(works[i].before[j / 64] >> (j % 64) & 1)) races(&works[i], &works[j], " in the same graph");
}

static bool touched(const struct access *access, const struct work *works, int n) {
    for (int i = 0; i < n; i++) {
        if (works[i].kind == HOST) return true; /* it may touch anything that the host sees */
        for (int j = 0; j < works[i].count; j++)
            if ((access->write || works[i].access[j].write) && overlap(access, &works[i].access[j])) return true;
    }
    return false;
}

/* What the host can see is watched from the call to the execution: a source must not change, and a
   destination holds poison, so that reading it early is seen. Unless earlier work, still to come,
   has a right to these bytes. */
static void watch(struct op *op) {
    for (int i = 0; i < op->count; i++) {
        for (int j = 0; j < op->works[i].count; j++) {
            struct access *access = &op->works[i].access[j];
            access->watched = false;
            if (!access->visible) continue;
            bool theirs = touched(access, op->works, i);
            for (struct op *other = unsure; other && !theirs; other = other->older)
                theirs = !other->done && touched(access, other->works, other->count);
            if (theirs) continue;
            access->watched = true;
            if (access->write) {
                memset(access->bytes, POISON, access->size);
                access->seen = hash_poison(access->size);
            } else {
                access->seen = hash_bytes(access->bytes, access->size);
            }
        }
    }
}

void enqueue(struct stream *stream, struct op *op) {
    join(&stream->clock, &host);
    for (int i = 0; i < STREAMS && stream == &legacy; i++)
        if (by_index[i] && by_index[i]->blocking) join(&stream->clock, &by_index[i]->clock);
    if (stream->blocking) join(&stream->clock, &legacy.clock);
    if (op->exec) join(&stream->clock, &op->exec->clock);
    stream->clock.at[stream->index] = op->seq = ++stream->enqueued;
    op->stream = stream;
    op->clock = stream->clock;
    if (op->exec) op->exec->clock = op->clock;
    for (struct op *other = unsure; other; other = other->older)
        if (op->clock.at[other->stream->index] < other->seq)
            for (int i = 0; i < op->count; i++)
                for (int j = 0; j < other->count; j++) races(&op->works[i], &other->works[j], " on another stream");
    if (op->count) {
        watch(op);
        op->older = unsure;
        op->listed = true;
        unsure = op;
    }
    if (stream->tail) stream->tail->next = op;
    else stream->head = op;
    stream->tail = op;
}

CUresult submit(struct stream *stream, const struct work *work) {
    if (stream->capture) return capture_add(stream, work);
    struct op *op = calloc(1, sizeof *op);
    op->works = malloc(sizeof *work);
    *op->works = *work;
    op->count = 1;
    enqueue(stream, op);
    return OK;
}

void op_done(struct op *op) {
    struct stream *stream = op->stream;
    if (op->event && op->event->stream == stream && op->event->seq == op->seq) op->event->time = now();
    if (op->exec) op->exec->pending--;
    stream->head = op->next;
    if (!stream->head) stream->tail = NULL;
    stream->executed = op->seq;
    op->done = true;
    if (!op->listed) op_free(op);
}

bool unconfirmed(const struct buffer *buffer, const char **call) {
    for (struct op *op = unsure; op; op = op->older)
        for (int i = 0; i < op->count; i++)
            for (int j = 0; j < op->works[i].count; j++)
                if (op->works[i].access[j].buffer == buffer) {
                    *call = op->works[i].call;
                    return true;
                }
    return false;
}

void order_close(void) {
    for (int i = 0; i < STREAMS; i++) {
        if (!by_index[i]) continue;
        struct vclock clock = by_index[i]->clock;
        wait_for(by_index[i], by_index[i]->enqueued);
        confirm(&clock);
    }
}
