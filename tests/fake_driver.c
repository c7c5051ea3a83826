/* NVIDIA's driver, played: libcuda and libnvidia-ml in one file, as `tests/fake_card.py` builds it.
 *
 * What it answers stands in the text file that VFX_FAKE_CARD names, read anew at every call, so that
 * a test may change the machine under a running program. Its lines:
 *   driver 580.65.06                    the driver's own version
 *   cuda 13000                          the newest CUDA it serves, as cuDriverGetVersion counts
 *   card 0 7 5 16384 15000 1 0 Quadro   number for CUDA (-1: hidden from it), capability, MiB in all
 *                                       and free, a divided card's slice: 1, compute mode, name;
 *                                       in NVML's order.
 *   fail cuInit 304 0                   a function, its error, and how often it works before
 * Memory of the card is memory of this process, and no more of it than is free.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 8
typedef int number;
typedef struct { int cuda, major, minor, total, open, slice, mode; char name[96]; } card;
typedef struct { unsigned long long total, room, used; } memory;

static card cards[MOST];
static int known, visible, cuda_version, blocks;
static char driver[64];
static size_t held, sizes[4096];
static void *kept[4096];
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER, giving = PTHREAD_MUTEX_INITIALIZER;

/* How often a function was called; anew when the state lies in another file. */
static int calls_of(const char *function, const char *path) {
    static char last[4096];
    static struct { char name[64]; int calls; } counts[64];
    static int counted;
    int i;
    if (strcmp(last, path)) counted = 0;
    strncpy(last, path, sizeof last - 1);
    for (i = 0; i < counted && strcmp(counts[i].name, function); i++);
    if (i == counted) counts[counted++].calls = 0;
    strncpy(counts[i].name, function, 63);
    return ++counts[i].calls;
}

/* Read the state; the error that `function` has to end with now, or 0. Programs ask in several
 * threads, so what is known changes at once, and mostly to what it was. */
static int read_state(const char *function, const char *path) {
    card found[MOST] = {0};
    char line[256], name[64];
    int error = 0, code, after, count = 0, shown = 0, calls = calls_of(function, path);
    FILE *file = fopen(path, "r");
    if (!file) return 999;
    while (fgets(line, sizeof line, file)) {
        card one = {0};
        if (sscanf(line, "card %d %d %d %d %d %d %d %95[^\n]", &one.cuda, &one.major, &one.minor,
                   &one.total, &one.open, &one.slice, &one.mode, one.name) == 8 && count < MOST) {
            shown += one.cuda >= 0;
            found[count++] = one;
        } else if (sscanf(line, "fail %63s %d %d", name, &code, &after) == 3) {
            if (!strcmp(name, function) && calls > after) error = code;
        } else if (!sscanf(line, "cuda %d", &cuda_version)) {
            sscanf(line, "driver %63s", driver);
        }
    }
    fclose(file);
    memcpy(cards, found, sizeof cards);
    known = count;
    visible = shown;
    return error;
}

static int asked(const char *function) {
    const char *path = getenv("VFX_FAKE_CARD");
    pthread_mutex_lock(&reading);
    int error = read_state(function, path ? path : "");
    pthread_mutex_unlock(&reading);
    return error;
}

#define ASK() do { int error = asked(__func__); if (error) return error; } while (0)

static card *by_number(int index) {
    for (int i = 0; i < known; i++) if (cards[i].cuda == index) return cards + i;
    return NULL;
}

number cuInit(unsigned flags) { ASK(); return visible ? 0 : 100; }
number cuDriverGetVersion(int *out) { ASK(); *out = cuda_version; return 0; }
number cuDeviceGetCount(int *out) { ASK(); *out = visible; return 0; }
number cuDeviceGet(int *out, int index) { ASK(); *out = index; return by_number(index) ? 0 : 101; }
number cuDeviceGetName(char *out, int room, int index) {
    ASK(); snprintf(out, room, "%s", by_number(index)->name); return 0;
}
number cuDeviceTotalMem_v2(size_t *out, int index) {
    ASK(); *out = (size_t)by_number(index)->total << 20; return 0;
}
number cuDeviceGetAttribute(int *out, int what, int index) {
    ASK();
    card *one = by_number(index);
    *out = what == 75 ? one->major : what == 76 ? one->minor : what == 20 ? one->mode : 0;
    return 0;
}
number cuDeviceGetUuid_v2(unsigned char *out, int index) {
    ASK(); memset(out, (int)(by_number(index) - cards) + 1, 16); return 0;
}
number cuDevicePrimaryCtxRetain(void **out, int index) { ASK(); *out = cards; return 0; }
number cuDevicePrimaryCtxRelease_v2(int index) { ASK(); return 0; }
number cuCtxSetCurrent(void *context) { ASK(); return 0; }
number cuStreamCreate(void **out, unsigned flags) { ASK(); *out = cards; return 0; }
number cuStreamDestroy_v2(void *stream) { ASK(); return 0; }
number cuStreamSynchronize(void *stream) { ASK(); return 0; }
number cuMemGetInfo_v2(size_t *room, size_t *total) {
    ASK();
    *total = (size_t)by_number(0)->total << 20;
    *room = ((size_t)by_number(0)->open << 20) - held;
    return 0;
}
static int give(unsigned long long *out, size_t count) {
    if (blocks == 4096 || held + count > (size_t)by_number(0)->open << 20) return 2;
    kept[blocks] = malloc(count);
    sizes[blocks] = count;
    held += count;
    *out = (unsigned long long)(size_t)kept[blocks++];
    return 0;
}
static int take(unsigned long long address) {
    for (int i = 0; i < blocks; i++) {
        if ((size_t)kept[i] != address) continue;
        free(kept[i]);
        held -= sizes[i];
        kept[i] = kept[--blocks];
        sizes[i] = sizes[blocks];
        return 0;
    }
    return 1;
}
#define ALONE(call) pthread_mutex_lock(&giving); int done = call; pthread_mutex_unlock(&giving)
number cuMemAlloc_v2(unsigned long long *out, size_t count) {
    ASK(); ALONE(give(out, count)); return done;
}
number cuMemFree_v2(unsigned long long address) { ASK(); ALONE(take(address)); return done; }
number cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t count) {
    ASK(); memcpy((void *)(size_t)to, from, count); return 0;
}
number cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t count) {
    ASK(); memcpy(to, (void *)(size_t)from, count); return 0;
}

number nvmlInitWithFlags(unsigned flags) { ASK(); return 0; }
number nvmlShutdown(void) { return 0; }
number nvmlSystemGetDriverVersion(char *out, unsigned room) {
    ASK(); snprintf(out, room, "%s", driver); return 0;
}
number nvmlDeviceGetCount_v2(unsigned *out) { ASK(); *out = known; return 0; }
number nvmlDeviceGetHandleByIndex_v2(unsigned index, card **out) {
    ASK(); *out = cards + index; return (int)index < known ? 0 : 2;
}
/* A card's is GPU-01010101-..., the second's GPU-02020202-...; a slice's begins with MIG-. */
number nvmlDeviceGetHandleByUUID(const char *uuid, card **out) {
    ASK();
    int index = atoi(uuid + 4) % 100 - 1, slice = !strncmp(uuid, "MIG-", 4);
    if (index < 0 || index >= known || cards[index].slice != slice) return 6; /* not found */
    *out = cards + index;
    return 0;
}
number nvmlDeviceGetName(card *one, char *out, unsigned room) {
    ASK(); snprintf(out, room, "%s", one->name); return 0;
}
number nvmlDeviceGetMemoryInfo(card *one, memory *out) {
    ASK();
    out->total = (unsigned long long)one->total << 20;
    out->room = ((unsigned long long)one->open << 20) - (one->cuda == 0 ? held : 0);
    out->used = out->total - out->room;
    return 0;
}
number nvmlDeviceGetComputeRunningProcesses_v3(card *one, unsigned *count, void *out) {
    ASK(); *count = 0; return 0;
}
