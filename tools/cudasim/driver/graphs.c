/* Graphs: a captured list of work, instantiated once and launched as one piece of a stream's work. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct instantiate_params { uint64_t flags; CUstream upload; void *error_node; int result; };

static CUresult instantiate(CUgraphExec *handle, CUgraph graph_handle, unsigned long long flags) {
    struct graph *graph = handle_get(GRAPH, graph_handle, true);
    if (!graph) return INVALID_VALUE;
    if (flags & ~(unsigned long long)3) return NOT_SUPPORTED;
    struct exec *exec = calloc(1, sizeof *exec);
    exec->live = true;
    exec->count = graph->count;
    exec->works = malloc(sizeof *exec->works * (size_t)(graph->count + 1));
    memcpy(exec->works, graph->works, sizeof *exec->works * (size_t)graph->count);
    races_in_graph(exec->works, exec->count);
    allocated(GRAPHS_INSTANTIATED, false);
    *handle = handle_new(EXEC, exec, &exec->id);
    return OK;
}

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
    ENTER(CURRENT);
    return leave(instantiate(exec, graph, flags));
}

EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec *exec, CUgraph graph, struct instantiate_params *params) {
    ENTER(CURRENT);
    CUresult result = instantiate(exec, graph, params->flags);
    params->result = result ? 1 : 0;
    params->error_node = NULL;
    return leave(result);
}

EXPORT CUresult cuGraphUpload(CUgraphExec handle, CUstream stream_handle) {
    ENTER(CURRENT);
    struct stream *stream;
    if (!handle_get(EXEC, handle, true)) return leave(INVALID_VALUE);
    return leave(stream_get(stream_handle, &stream));
}

EXPORT CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
    ENTER(CURRENT);
    struct stream *stream;
    struct exec *exec = handle_get(EXEC, handle, true);
    if (!exec) return leave(INVALID_VALUE);
    TRY(stream_get(stream_handle, &stream));
    if (stream->capture) {
        capture_break(stream->capture);
        fault("capture", "a graph is launched into the capture of stream %d, which is not simulated", stream->id);
        return leave(NOT_SUPPORTED);
    }
    for (int i = 0; i < exec->count; i++)
        for (int j = 0; j < exec->works[i].count; j++)
            if (access_freed(&exec->works[i].access[j])) return leave(INVALID_VALUE);
    struct op *op = calloc(1, sizeof *op);
    op->works = malloc(sizeof *op->works * (size_t)(exec->count + 1));
    memcpy(op->works, exec->works, sizeof *op->works * (size_t)exec->count);
    op->count = exec->count;
    op->exec = exec;
    exec->pending++;
    enqueue(stream, op);
    count(GRAPH_LAUNCHES, 1);
    return leave(OK);
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec handle) {
    ENTER(CURRENT);
    struct exec *exec = handle_get(EXEC, handle, true);
    if (!exec) return leave(INVALID_VALUE);
    if (exec->pending)
        warning("pending-destroy", "graph exec %d is destroyed while a launch of it is pending", exec->id);
    exec->live = false;
    return leave(OK);
}

EXPORT CUresult cuGraphDestroy(CUgraph handle) {
    ENTER(CURRENT);
    struct graph *graph = handle_get(GRAPH, handle, true);
    if (!graph) return leave(INVALID_VALUE);
    graph->live = false;
    free(graph->works);
    graph->works = NULL;
    return leave(OK);
}

EXPORT CUresult cuGraphGetNodes(CUgraph handle, void **nodes, size_t *n) {
    ENTER(CURRENT);
    struct graph *graph = handle_get(GRAPH, handle, true);
    if (!graph) return leave(INVALID_VALUE);
    for (size_t i = 0; nodes && i < *n; i++)
        nodes[i] = i < (size_t)graph->count ? &graph->works[i] : NULL;
    *n = (size_t)graph->count;
    return leave(OK);
}
