/* Stream capture: what goes into the graph, and what breaks it.
   Source: CUDA driver API, "Stream Management" and "Graphs": cuThreadExchangeStreamCaptureMode,
   cuStreamBeginCapture, cuStreamEndCapture. An unsafe call answers CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static unsigned long captures;
static struct capture *every; /* events may point to any, so none is freed */

void capture_break(struct capture *capture) { capture->status = CAPTURE_BROKEN; }

CUresult capture_add(struct stream *stream, const struct work *work) {
    struct graph *graph = stream->capture->graph;
    if (stream->capture->status == CAPTURE_BROKEN) return CAPTURE_INVALIDATED;
    if (graph->count == NODES) return OUT_OF_MEMORY;
    struct work *node = &graph->works[graph->count];
    *node = *work;
    memcpy(node->before, stream->before, sizeof node->before);
    stream->before[graph->count / 64] |= (uint64_t)1 << (graph->count % 64);
    graph->count++;
    return OK;
}

CUresult capture_conflict(struct stream *stream, CUresult result) {
    if (stream->capture->status == CAPTURE_BROKEN) return CAPTURE_INVALIDATED;
    capture_break(stream->capture);
    fault("capture", "stream %d is capturing: there is nothing to wait for, and the capture is lost", stream->id);
    return result;
}

static struct capture *active(int index) {
    struct stream *stream = by_index[index];
    return stream && stream->capture && stream->capture->origin == stream ? stream->capture : NULL;
}

CUresult capture_forbids(void) {
    CUresult result = OK;
    for (int i = 0; i < STREAMS; i++) {
        struct capture *capture = active(i);
        if (!capture || thread_mode == MODE_RELAXED) continue;
        bool mine = pthread_equal(capture->thread, pthread_self());
        if (mine ? capture->mode == MODE_RELAXED
                 : thread_mode != MODE_GLOBAL || capture->mode != MODE_GLOBAL)
            continue;
        capture_break(capture);
        fault("capture", "an unsafe call on %s thread breaks a capture of mode %s", mine ? "the same" : "another",
              capture->mode == MODE_GLOBAL ? "GLOBAL" : "THREAD_LOCAL");
        result = CAPTURE_UNSUPPORTED;
    }
    return result;
}

CUresult capture_any(CUresult answer) {
    CUresult result = OK;
    for (int i = 0; i < STREAMS; i++) {
        if (!active(i)) continue;
        capture_break(active(i));
        fault("capture", "the call waits for all streams, and stream %d is capturing", by_index[i]->id);
        result = answer;
    }
    return result;
}

CUresult capture_legacy(void) {
    CUresult result = OK;
    for (int i = 0; i < STREAMS; i++) {
        if (!active(i) || !by_index[i]->blocking || active(i)->mode == MODE_RELAXED) continue;
        capture_break(active(i));
        fault("capture", "the default stream depends on blocking stream %d, which is capturing", by_index[i]->id);
        result = CAPTURE_IMPLICIT;
    }
    return result;
}

EXPORT CUresult cuStreamBeginCapture_v2(CUstream handle, int mode) {
    ENTER(CURRENT);
    struct stream *stream;
    if (mode < MODE_GLOBAL || mode > MODE_RELAXED) return leave(INVALID_VALUE);
    TRY(stream_get(handle, &stream));
    if (stream == &legacy) return leave(CAPTURE_UNSUPPORTED);
    if (stream->capture) return leave(ILLEGAL_STATE);
    struct capture *capture = calloc(1, sizeof *capture);
    capture->graph = calloc(1, sizeof *capture->graph);
    capture->graph->works = calloc(NODES, sizeof *capture->graph->works);
    capture->mode = mode;
    capture->status = CAPTURE_ACTIVE;
    capture->id = ++captures;
    capture->thread = pthread_self();
    capture->origin = stream;
    capture->older = every;
    every = capture;
    stream->capture = capture;
    memset(stream->before, 0, sizeof stream->before);
    return leave(OK);
}

static CUresult end(struct stream *stream, struct graph **graph) {
    struct capture *capture = stream->capture;
    bool joined = true;
    if (!capture) return ILLEGAL_STATE;
    if (capture->mode != MODE_RELAXED && !pthread_equal(capture->thread, pthread_self())) {
        capture_break(capture);
        fault("capture", "a capture that is not RELAXED must end on the thread that began it");
        return CAPTURE_WRONG_THREAD;
    }
    if (capture->origin != stream) {
        capture_break(capture);
        fault("capture", "the capture began on stream %d and ends on stream %d", capture->origin->id, stream->id);
        return CAPTURE_UNMATCHED;
    }
    for (int i = 0; i < STREAMS; i++) {
        if (!by_index[i] || by_index[i]->capture != capture) continue;
        for (int j = 0; j < NODES / 64; j++) joined = joined && !(by_index[i]->before[j] & ~stream->before[j]);
        by_index[i]->capture = NULL;
    }
    capture->ended = true;
    if (capture->status == CAPTURE_BROKEN) return CAPTURE_INVALIDATED;
    if (!joined) {
        fault("capture", "a stream that joined the capture of stream %d never came back to it", stream->id);
        return CAPTURE_UNJOINED;
    }
    *graph = capture->graph;
    return OK;
}

EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph_handle) {
    ENTER(CURRENT);
    struct graph *graph = NULL;
    struct stream *stream = handle_get(STREAM, handle, true);
    if (graph_handle) *graph_handle = NULL;
    if (!stream) return leave(INVALID_HANDLE);
    TRY(end(stream, &graph));
    graph->live = true;
    *graph_handle = handle_new(GRAPH, graph, &graph->id);
    return leave(OK);
}

EXPORT CUresult cuStreamIsCapturing(CUstream handle, int *status) {
    ENTER(CURRENT);
    *status = CAPTURE_NONE;
    if ((uintptr_t)handle <= 1) return leave(OK);
    struct stream *stream = handle_get(STREAM, handle, true);
    if (!stream) return leave(INVALID_HANDLE);
    if (stream->capture) *status = stream->capture->status;
    return leave(OK);
}

static CUresult info(CUstream handle, int *status, uint64_t *id, CUgraph *graph, const void **nodes, size_t *n) {
    struct stream *stream = handle_get(STREAM, handle, true);
    if (!stream) return INVALID_HANDLE;
    *status = stream->capture ? stream->capture->status : CAPTURE_NONE;
    if (id && stream->capture) *id = stream->capture->id;
    if (graph) *graph = NULL;
    if (nodes) *nodes = NULL;
    if (n) *n = 0;
    return OK;
}

EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream stream, int *status, uint64_t *id, CUgraph *graph,
                                          const void **nodes, size_t *n) {
    ENTER(CURRENT);
    return leave(info(stream, status, id, graph, nodes, n));
}

EXPORT CUresult cuStreamGetCaptureInfo_v3(CUstream stream, int *status, uint64_t *id, CUgraph *graph,
                                          const void **nodes, const void **edges, size_t *n) {
    ENTER(CURRENT);
    if (edges) *edges = NULL;
    return leave(info(stream, status, id, graph, nodes, n));
}

EXPORT CUresult cuThreadExchangeStreamCaptureMode(int *mode) {
    ENTER(INIT);
    int before = thread_mode;
    if (*mode < MODE_GLOBAL || *mode > MODE_RELAXED) return leave(INVALID_VALUE);
    thread_mode = *mode;
    *mode = before;
    return leave(OK);
}
