/* Streams, events and host functions. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCKING_SYNC = 1, DISABLE_TIMING = 2 };

static CUresult create(CUstream *handle, unsigned flags, int priority) {
    if (flags > 1) return INVALID_VALUE;
    struct stream *stream = stream_create(flags, priority < -5 ? -5 : priority > 0 ? 0 : priority);
    if (!stream) return OUT_OF_MEMORY;
    allocated(STREAMS_CREATED, false);
    *handle = handle_new(STREAM, stream, &stream->id);
    return OK;
}

EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    ENTER(CURRENT);
    return leave(create(stream, flags, 0));
}

EXPORT CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) {
    ENTER(CURRENT);
    return leave(create(stream, flags, priority));
}

EXPORT CUresult cuStreamDestroy_v2(CUstream handle) {
    ENTER(CURRENT);
    struct stream *stream = handle_get(STREAM, handle, true);
    if (!stream) return leave(INVALID_HANDLE);
    if (stream->capture) {
        capture_conflict(stream, OK);
        stream->capture = NULL;
    }
    if (stream->executed < stream->enqueued)
        warning("pending-destroy", "stream %d is destroyed while its work is pending", stream->id);
    stream->live = false;
    return leave(OK);
}

EXPORT CUresult cuStreamGetPriority(CUstream handle, int *priority) {
    ENTER(CURRENT);
    struct stream *stream = handle_get(STREAM, handle, true);
    if (stream) *priority = stream->priority;
    return leave(stream ? OK : INVALID_HANDLE);
}

EXPORT CUresult cuStreamGetFlags(CUstream handle, unsigned *flags) {
    ENTER(CURRENT);
    struct stream *stream = handle_get(STREAM, handle, true);
    if (stream) *flags = stream->flags;
    return leave(stream ? OK : INVALID_HANDLE);
}

EXPORT CUresult cuStreamGetCtx(CUstream handle, CUcontext *context) {
    ENTER(CURRENT);
    struct stream *stream = handle_get(STREAM, handle, true);
    if (stream) *context = handle_of(CONTEXT, 0);
    return leave(stream ? OK : INVALID_HANDLE);
}

EXPORT CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext *context, void **green) {
    if (green) *green = NULL;
    return cuStreamGetCtx(stream, context);
}

EXPORT CUresult cuStreamSynchronize(CUstream handle) {
    ENTER(CURRENT);
    struct stream *stream;
    TRY(stream_get(handle, &stream));
    if (stream->capture) return leave(capture_conflict(stream, CAPTURE_UNSUPPORTED));
    TRY(capture_forbids());
    struct vclock clock = stream->clock;
    wait_for(stream, stream->enqueued);
    confirm(&clock);
    return leave(OK);
}

EXPORT CUresult cuStreamQuery(CUstream handle) {
    ENTER(CURRENT | QUERY);
    struct stream *stream;
    TRY(stream_get(handle, &stream));
    if (stream->capture) return leave(capture_conflict(stream, CAPTURE_UNSUPPORTED));
    TRY(capture_forbids());
    if (stream->executed < stream->enqueued) return leave(NOT_READY);
    confirm(&stream->clock);
    return leave(OK);
}

EXPORT CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void *argument) {
    ENTER(CURRENT);
    struct stream *stream;
    struct work work = {.kind = HOST, .call = calling(), .function = function, .argument = argument};
    TRY(stream_get(handle, &stream));
    if (!function) return leave(INVALID_VALUE);
    count(HOST_FUNCTIONS, 1);
    return leave(submit(stream, &work));
}

/* ---- events */

EXPORT CUresult cuEventCreate(CUevent *handle, unsigned flags) {
    ENTER(CURRENT);
    if (flags > 3) return leave(flags & 4 ? NOT_SUPPORTED : INVALID_VALUE);
    struct event *event = calloc(1, sizeof *event);
    event->live = true;
    event->flags = flags;
    *handle = handle_new(EVENT, event, &event->id);
    allocated(EVENTS_CREATED, false);
    return leave(OK);
}

EXPORT CUresult cuEventDestroy_v2(CUevent handle) {
    ENTER(CURRENT);
    struct event *event = handle_get(EVENT, handle, true);
    if (!event) return leave(INVALID_HANDLE);
    event->live = false;
    return leave(OK);
}

static CUresult record(CUevent handle, CUstream stream_handle) {
    struct stream *stream;
    struct event *event = handle_get(EVENT, handle, true);
    if (!event) return INVALID_HANDLE;
    CUresult result = stream_get(stream_handle, &stream);
    if (result) return result;
    event->recorded = true;
    event->time = 0;
    event->capture = stream->capture;
    if (stream->capture) {
        memcpy(event->before, stream->before, sizeof event->before);
        return stream->capture->status == CAPTURE_BROKEN ? CAPTURE_INVALIDATED : OK;
    }
    struct op *op = calloc(1, sizeof *op);
    op->event = event;
    event->stream = stream;
    event->seq = stream->enqueued + 1;
    enqueue(stream, op);
    event->clock = stream->clock;
    return OK;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
    ENTER(CURRENT);
    return leave(record(event, stream));
}

EXPORT CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
    ENTER(CURRENT);
    return leave(flags ? NOT_SUPPORTED : record(event, stream));
}

/* A stream that waits for an event of a capture becomes part of that capture. */
static CUresult wait_captured(struct stream *stream, struct event *event) {
    struct capture *capture = event->capture;
    if (capture->ended) {
        fault("capture", "event %d was recorded in a capture that has ended", event->id);
        return CAPTURED_EVENT;
    }
    if (stream == &legacy) return capture_break(capture), CAPTURE_IMPLICIT;
    if (stream->capture && stream->capture != capture) {
        capture_break(capture);
        capture_break(stream->capture);
        fault("capture", "stream %d would join two captures", stream->id);
        return CAPTURE_MERGE;
    }
    if (!stream->capture) memset(stream->before, 0, sizeof stream->before);
    stream->capture = capture;
    for (int i = 0; i < NODES / 64; i++) stream->before[i] |= event->before[i];
    return capture->status == CAPTURE_BROKEN ? CAPTURE_INVALIDATED : OK;
}

EXPORT CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
    ENTER(CURRENT);
    struct stream *stream;
    struct event *event = handle_get(EVENT, event_handle, true);
    if (!event) return leave(INVALID_HANDLE);
    if (flags) return leave(flags == 1 ? NOT_SUPPORTED : INVALID_VALUE);
    TRY(stream_get(handle, &stream));
    if (!event->recorded) {
        warning("unrecorded-event", "stream %d waits for event %d, which was never recorded: it waits for nothing",
                stream->id, event->id);
        return leave(OK);
    }
    if (event->capture) return leave(wait_captured(stream, event));
    if (stream->capture) {
        capture_break(stream->capture);
        fault("capture", "the capture waits for event %d, which was recorded outside of it", event->id);
        return leave(CAPTURE_ISOLATION);
    }
    join(&stream->clock, &event->clock);
    enqueue(stream, calloc(1, sizeof(struct op)));
    return leave(OK);
}

static CUresult event_ask(CUevent handle, struct event **event) {
    *event = handle_get(EVENT, handle, true);
    if (!*event) return INVALID_HANDLE;
    if (!(*event)->capture || (*event)->capture->ended) return capture_forbids();
    capture_break((*event)->capture);
    fault("capture", "event %d of a capture is asked whether it happened", (*event)->id);
    return CAPTURED_EVENT;
}

EXPORT CUresult cuEventQuery(CUevent handle) {
    ENTER(CURRENT | QUERY);
    struct event *event;
    TRY(event_ask(handle, &event));
    if (!event->recorded || event->capture) return leave(event->capture ? CAPTURED_EVENT : OK);
    if (event->stream->executed < event->seq) return leave(NOT_READY);
    confirm(&event->clock);
    return leave(OK);
}

EXPORT CUresult cuEventSynchronize(CUevent handle) {
    ENTER(CURRENT);
    struct event *event;
    TRY(event_ask(handle, &event));
    if (event->capture) return leave(CAPTURED_EVENT);
    if (!event->recorded) {
        warning("unrecorded-event", "the host waits for event %d, which was never recorded: it waits for nothing",
                event->id);
        return leave(OK);
    }
    struct vclock clock = event->clock;
    wait_for(event->stream, event->seq);
    confirm(&clock);
    return leave(OK);
}

static CUresult elapsed(float *milliseconds, CUevent start_handle, CUevent end_handle) {
    struct event *start = handle_get(EVENT, start_handle, true), *end = handle_get(EVENT, end_handle, true);
    if (!start || !end || (start->flags | end->flags) & DISABLE_TIMING || !start->recorded || !end->recorded)
        return INVALID_HANDLE;
    if (start->time == 0 || end->time == 0) return NOT_READY;
    *milliseconds = (float)(1000 * (end->time - start->time));
    return OK;
}

EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
    ENTER(CURRENT);
    return leave(elapsed(milliseconds, start, end));
}

EXPORT CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end) {
    ENTER(CURRENT);
    return leave(elapsed(milliseconds, start, end));
}
