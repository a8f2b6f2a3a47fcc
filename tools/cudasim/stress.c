/* The simulator itself, under the sanitizers: threads that allocate, copy, capture and launch at once. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, ROUNDS = 150, SIZE = 5000 };

int cuInit(unsigned), cuDevicePrimaryCtxRetain(void **, int), cuDevicePrimaryCtxRelease_v2(int);
int cuCtxSetCurrent(void *), cuMemAlloc_v2(uint64_t *, size_t), cuMemFree_v2(uint64_t);
int cuMemHostAlloc(void **, size_t, unsigned), cuMemFreeHost(void *);
int cuMemHostGetDevicePointer_v2(uint64_t *, void *, unsigned);
int cuStreamCreate(void **, unsigned), cuStreamDestroy_v2(void *), cuStreamSynchronize(void *);
int cuStreamWaitEvent(void *, void *, unsigned), cuEventCreate(void **, unsigned), cuEventRecord(void *, void *);
int cuEventSynchronize(void *), cuEventDestroy_v2(void *), cuEventQuery(void *);
int cuMemcpyHtoDAsync_v2(uint64_t, const void *, size_t, void *), cuMemcpyDtoHAsync_v2(void *, uint64_t, size_t, void *);
int cuMemcpyHtoD_v2(uint64_t, const void *, size_t);
int cuStreamBeginCapture_v2(void *, int), cuStreamEndCapture(void *, void **);
int cuGraphInstantiateWithFlags(void **, void *, unsigned long long), cuGraphLaunch(void *, void *);
int cuGraphDestroy(void *), cuGraphExecDestroy(void *), cuLaunchHostFunc(void *, void (*)(void *), void *);
int cudasim_infer(void *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, int, int, int, int, int, int, int);
long cudasim_faults(void);
void cudasim_kernel_us(unsigned);

static void *primary;

static void check(int result, const char *call) {
    if (!result) return;
    fprintf(stderr, "%s: %d\n", call, result);
    exit(1);
}
#define DO(call) check(call, #call)

static void called(void *counter) { ++*(int *)counter; }

static void *work(void *argument) {
    void *up, *run, *event, *out, *host[5], *graph, *launch;
    uint64_t device[5], mapped[5];
    int calls = 0, id = *(int *)argument;
    DO(cuCtxSetCurrent(primary));
    DO(cuStreamCreate(&up, 1));
    DO(cuStreamCreate(&run, 1));
    DO(cuEventCreate(&event, 2));
    DO(cuEventCreate(&out, 0));
    for (int i = 0; i < 5; i++) {
        DO(cuMemHostAlloc(&host[i], SIZE, 3));
        DO(cuMemHostGetDevicePointer_v2(&mapped[i], host[i], 0));
        DO(cuMemAlloc_v2(&device[i], SIZE));
    }
    DO(cuStreamBeginCapture_v2(run, 1));
    DO(cudasim_infer(run, device[0], mapped[1], mapped[2], mapped[3], mapped[4], 0, 1, 16, 16, 3, 8, 2, 0));
    DO(cuStreamEndCapture(run, &graph));
    DO(cuGraphInstantiateWithFlags(&launch, graph, 0));
    DO(cuGraphDestroy(graph));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 768; i++) ((uint8_t *)host[0])[i] = (uint8_t)(round + i + id);
        *(float *)host[1] = 0.5f;
        DO(cuMemcpyHtoDAsync_v2(device[0], host[0], 768, up));
        DO(cuEventRecord(event, up));
        DO(cuStreamWaitEvent(run, event, 0));
        DO(cuGraphLaunch(launch, run));
        DO(cuLaunchHostFunc(run, called, &calls));
        DO(cuEventRecord(out, run));
        uint64_t extra;
        DO(cuMemAlloc_v2(&extra, 100));
        DO(cuMemcpyHtoD_v2(extra, &round, sizeof round));
        DO(cuMemFree_v2(extra));
        while (round % 2 && cuEventQuery(out)) continue;
        DO(cuEventSynchronize(out));
        if (calls != round + 1) check(-1, "host function");
        for (int i = 0; i < 256; i++) {
            uint8_t red = ((uint8_t *)host[0])[3 * i + 2];
            if (((uint8_t *)host[2])[i] != (red > 127 ? 255 : 0)) check(-1, "mask");
        }
    }
    DO(cuStreamSynchronize(up));
    for (int i = 0; i < 5; i++) {
        DO(cuMemFreeHost(host[i]));
        DO(cuMemFree_v2(device[i]));
    }
    DO(cuGraphExecDestroy(launch));
    DO(cuEventDestroy_v2(event));
    DO(cuEventDestroy_v2(out));
    DO(cuStreamDestroy_v2(up));
    DO(cuStreamDestroy_v2(run));
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    int ids[THREADS];
    DO(cuInit(0));
    DO(cuDevicePrimaryCtxRetain(&primary, 0));
    cudasim_kernel_us(20);
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, work, &ids[i]);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    DO(cuDevicePrimaryCtxRelease_v2(0));
    printf("%ld faults\n", cudasim_faults());
    return cudasim_faults() != 0;
}
