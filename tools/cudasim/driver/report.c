/* Faults, one JSON line each, written when they happen; counters, when the process ends.
   The file is named by the environment: CUDASIM_REPORT. */
#define _GNU_SOURCE
#include "sim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 20, KINDS_KNOWN = 64, CALLS_KNOWN = 256 };
static const char *counter_names[COUNTERS] = {
    "device_allocations", "host_allocations", "device_bytes", "host_bytes", "streams_created",
    "events_created", "graphs_instantiated", "graph_launches", "copies_to_device", "copies_to_host",
    "copies_on_device", "synchronous_copies", "fills", "inferences", "host_functions", "races_checked",
    "hashes_checked", "steady_allocations", "steady_creations", "calls"};
static long counters[COUNTERS];
static struct { const char *name; long n; } kinds[KINDS_KNOWN], calls[CALLS_KNOWN];
static int file = -1;
static bool steady;
static long faults;

void count(enum counter which, long by) { counters[which] += by; }

static long tally(const char *name, int room, bool as_call) {
    for (int i = 0; i < room; i++) {
        const char **known = as_call ? &calls[i].name : &kinds[i].name;
        if (!*known) *known = name;
        if (!strcmp(*known, name)) return as_call ? ++calls[i].n : ++kinds[i].n;
    }
    return 0;
}

void counted_call(const char *call) {
    counters[CALLS]++;
    tally(call, CALLS_KNOWN, true);
}

void allocated(enum counter which, bool memory) {
    counters[which]++;
    if (!steady) return;
    counters[memory ? STEADY_ALLOCATIONS : STEADY_CREATIONS]++;
    fault("steady", "something is %s after the loop had reached its steady state", memory ? "allocated" : "created");
}

static void put(const char *line, size_t size) {
    if (file >= 0 && write(file, line, size) < 0) abort();
}

static void write_fault(const char *severity, const char *call, const char *kind, const char *text) {
    char line[640], name[64];
    if (!strcmp(severity, "fault")) faults++;
    if (tally(kind, KINDS_KNOWN, false) > KEPT) return;
    snprintf(name, sizeof name, "%s", call);
    char *version = strstr(name, "_v");
    if (version) *version = 0;
    int n = snprintf(line, sizeof line, "{\"%s\": \"%s\", \"call\": \"%s\", \"text\": \"%s\"}\n", severity, kind, name, text);
    put(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

#define WRITE(severity, call) do { \
    char text[512]; \
    va_list arguments; \
    va_start(arguments, format); \
    vsnprintf(text, sizeof text, format, arguments); \
    va_end(arguments); \
    write_fault(severity, call, kind, text); \
} while (0)

void fault(const char *kind, const char *format, ...) { WRITE("fault", calling()); }
void warning(const char *kind, const char *format, ...) { WRITE("warning", calling()); }
void fault_in(const char *call, const char *kind, const char *format, ...) { WRITE("fault", call); }

static void on_touch(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    const char *text = memory_at(info->si_addr);
    if (text) write_fault("fault", "host", "host-touch", text); /* then the same access faults again, and ends the process */
}

void report_open(void) {
    const char *path = getenv("CUDASIM_REPORT");
    struct sigaction action = {.sa_sigaction = on_touch, .sa_flags = SA_SIGINFO | SA_RESETHAND};
    if (path) file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sigaction(SIGSEGV, &action, NULL);
}

static int print_counters(char *text, size_t size) {
    int n = snprintf(text, size, "{\"counters\": {");
    for (int i = 0; i < COUNTERS; i++)
        n += snprintf(text + n, size - (size_t)n, "%s\"%s\": %ld", i ? ", " : "", counter_names[i], counters[i]);
    n += snprintf(text + n, size - (size_t)n, "}, \"calls\": {");
    for (int i = 0; i < CALLS_KNOWN && calls[i].name; i++)
        n += snprintf(text + n, size - (size_t)n, "%s\"%s\": %ld", i ? ", " : "", calls[i].name, calls[i].n);
    n += snprintf(text + n, size - (size_t)n, "}, \"kinds\": {");
    for (int i = 0; i < KINDS_KNOWN && kinds[i].name; i++)
        n += snprintf(text + n, size - (size_t)n, "%s\"%s\": %ld", i ? ", " : "", kinds[i].name, kinds[i].n);
    return n + snprintf(text + n, size - (size_t)n, "}}\n");
}

/* From here on, allocating or creating anything is a fault (and with 0, no more). */
EXPORT void cudasim_steady(int on) {
    lock();
    steady = on;
    unlock();
}

EXPORT long cudasim_faults(void) {
    lock();
    long n = faults;
    unlock();
    return n;
}

EXPORT void cudasim_counters(char *text, size_t size) {
    lock();
    print_counters(text, size);
    unlock();
}

__attribute__((destructor)) static void at_exit(void) {
    static char text[16384];
    lock();
    context_exit();
    put(text, (size_t)print_counters(text, sizeof text));
    unlock();
}
