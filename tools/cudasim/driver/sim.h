/* A simulated CUDA driver: what its files share.

   Everything below is guarded by one lock, which every driver call takes (calls.c). Work is not done
   by the calls: they put it into streams, and one scheduler thread (schedule.c) does it later, in an
   order that a seed chooses among all orders that the streams and events allow (order.c).

   Prototypes follow the public CUDA driver API; none of its headers is needed to build. */
#ifndef CUDASIM_H
#define CUDASIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef void *CUcontext;
typedef void *CUstream;
typedef void *CUevent;
typedef void *CUgraph;
typedef void *CUgraphExec;
typedef void (*CUhostFn)(void *);

enum {
    OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500,
    NOT_READY = 600, PRIMARY_CONTEXT_ACTIVE = 708, CONTEXT_IS_DESTROYED = 709, NOT_PERMITTED = 800,
    NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_MERGE = 902,
    CAPTURE_UNMATCHED = 903, CAPTURE_UNJOINED = 904, CAPTURE_ISOLATION = 905, CAPTURE_IMPLICIT = 906,
    CAPTURED_EVENT = 907, CAPTURE_WRONG_THREAD = 908
};

enum { MODE_GLOBAL, MODE_THREAD_LOCAL, MODE_RELAXED };
enum { CAPTURE_NONE, CAPTURE_ACTIVE, CAPTURE_BROKEN };
enum { POISON = 0xA5, CANARY = 0xC3 };
enum { STREAMS = 128, NODES = 256, ACCESSES = 6 };

/* ---- memory.c: what an address means */

struct buffer {
    int id;
    bool live, pinned;
    size_t size, span;    /* bytes asked for; bytes of whole pages */
    uint8_t *bytes;       /* where the bytes lie: the host address of pinned memory */
    CUdeviceptr device;   /* a reserved range that faults when the host touches it; 0: not mapped */
    unsigned flags;
};

struct access {
    struct buffer *buffer; /* NULL: pageable host memory */
    uint8_t *bytes;
    size_t size;
    bool write, visible;   /* visible: the host can see these bytes */
    bool watched;          /* `seen` holds their hash at the time of the call */
    uint64_t seen;
};

CUresult device_access(struct access *, CUdeviceptr, size_t, bool write, const char *what);
CUresult host_access(struct access *, const void *, size_t, bool write, const char *what);
CUresult any_access(struct access *, CUdeviceptr, size_t, bool write, const char *what);
bool access_freed(const struct access *);
uint64_t hash_bytes(const uint8_t *, size_t);
uint64_t hash_poison(size_t);
void memory_leaks(void);
void memory_close(void);
const char *memory_at(const void *address); /* for the SIGSEGV report */

/* ---- order.c: which work must come before which */

struct vclock { uint32_t at[STREAMS]; };

enum work_kind { COPY, FILL, INFER, HOST };

struct work {
    enum work_kind kind;
    const char *call;
    struct access access[ACCESSES];
    int count;
    uint32_t value, width;              /* FILL: `width` bytes of `value`, repeated */
    int n, h, w, c, s, red, k;          /* INFER */
    CUhostFn function;                  /* HOST */
    void *argument;
    uint64_t before[NODES / 64];        /* nodes of the same graph that come first */
};

struct event;
struct exec;
struct capture;

struct op {
    struct stream *stream;
    uint32_t seq;
    struct vclock clock;
    struct work *works;
    int count;
    struct exec *exec;
    struct event *event;                /* marks this event's time when done */
    bool done, listed;
    struct op *next, *older;            /* the stream's queue; the list of unconfirmed work */
};

struct stream {
    int id, index;
    bool live, blocking;
    int priority;
    unsigned flags;
    uint32_t enqueued, executed;
    struct vclock clock;
    struct op *head, *tail;
    struct capture *capture;
    uint64_t before[NODES / 64];
};

struct event {
    int id;
    bool live, recorded;
    unsigned flags;
    struct stream *stream;
    uint32_t seq;
    struct vclock clock;
    double time;                        /* seconds; 0: not reached */
    struct capture *capture;
    uint64_t before[NODES / 64];
};

struct graph { int id; bool live; struct work *works; int count; };
struct exec { int id; bool live; struct work *works; int count; int pending; struct vclock clock; };
struct capture {
    int mode, status;
    unsigned long id;
    pthread_t thread;
    struct stream *origin;
    struct graph *graph;
    bool ended;
    struct capture *older;
};

extern struct stream legacy;            /* the stream 0 */
extern struct stream *by_index[STREAMS];
struct stream *stream_create(unsigned flags, int priority);
void join(struct vclock *into, const struct vclock *from);
void confirm(const struct vclock *);    /* the host knows: all of this is done */
void enqueue(struct stream *, struct op *);
CUresult submit(struct stream *, const struct work *); /* into the stream, or the graph it captures */
void op_done(struct op *);
bool unconfirmed(const struct buffer *, const char **call);
void races_in_graph(const struct work *, int count);
void order_close(void);

/* ---- schedule.c: when work runs */

void schedule_start(void);
void schedule_background(bool query);   /* let some work happen between two calls */
void wait_for(struct stream *, uint32_t seq);
void wait_blocking_streams(void);
uint32_t chance(uint32_t below);
double now(void);
extern unsigned kernel_us;
void perform(struct work *);            /* work.c; takes and returns the lock for host functions */
CUresult infer_gate(struct stream *);

/* ---- capture.c */

CUresult capture_add(struct stream *, const struct work *);
CUresult capture_conflict(struct stream *, CUresult); /* breaks the capture of a stream that is asked to finish */
CUresult capture_forbids(void);         /* an unsafe call on this thread, now */
CUresult capture_any(CUresult);         /* a call that needs every stream to finish */
CUresult capture_legacy(void);          /* stream 0 beside the capture of a blocking stream */
void capture_break(struct capture *);

/* ---- handles.c */

enum kind { CONTEXT, STREAM, EVENT, GRAPH, EXEC, KINDS };
void *handle_new(enum kind, void *object, int *id);
void *handle_of(enum kind, int id);
void *handle_get(enum kind, const void *handle, bool report);
int handle_count(enum kind);
void *handle_at(enum kind, int index);
CUresult stream_get(CUstream, struct stream **);
void handles_leaks(void);

/* ---- calls.c: the gate of every call */

enum { ANY = 0, INIT = 1, CURRENT = 3, UNSAFE = 4, QUERY = 8 };
CUresult enter(const char *call, int needs);
CUresult leave(CUresult);
const char *calling(void);
void lock(void);
void unlock(void);
extern pthread_mutex_t the_lock;
extern _Thread_local bool in_callback;
extern _Thread_local int thread_mode;
bool context_active(void);
void context_exit(void);
#define ENTER(needs) do { CUresult gate_ = enter(__func__, (needs)); if (gate_) return leave(gate_); } while (0)
#define TRY(expression) do { CUresult result_ = (expression); if (result_) return leave(result_); } while (0)

/* ---- report.c: faults and counters */

enum counter {
    DEVICE_ALLOCATIONS, HOST_ALLOCATIONS, DEVICE_BYTES, HOST_BYTES, STREAMS_CREATED, EVENTS_CREATED,
    GRAPHS_INSTANTIATED, GRAPH_LAUNCHES, COPIES_TO_DEVICE, COPIES_TO_HOST, COPIES_ON_DEVICE,
    SYNCHRONOUS_COPIES, FILLS, INFERENCES, HOST_FUNCTIONS, RACES_CHECKED, HASHES_CHECKED,
    STEADY_ALLOCATIONS, STEADY_CREATIONS, CALLS, COUNTERS
};
void count(enum counter, long by);
void allocated(enum counter, bool memory); /* counts, and reports it in steady state */
void fault(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
void warning(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fault_in(const char *call, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void report_open(void);
void report_close(void);
void counted_call(const char *call);

#endif
