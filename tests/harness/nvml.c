// Stands in for NVIDIA's NVML: two GPUs. $NVML_HELD has lines of a GPU, a process and its bytes; who was
// listed is written to $NVML_SEEN, and that it was loaded.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long bytes; unsigned gpu, compute; } Process;

static const char *UUIDS[] = {"GPU-aaaa", "GPU-bbbb"};

static void note(const char *text, unsigned number) {
    FILE *seen = fopen(getenv("NVML_SEEN"), "a");
    fprintf(seen, "%s %u\n", text, number);
    fclose(seen);
}

static long number(void *device) { return (long)device - 1; }

int nvmlInit_v2(void) { note("loaded", 0); return OK; }
int nvmlShutdown(void) { return OK; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "580.95.05"); return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13010; return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return OK; }
int nvmlDeviceGetName(void *device, char *text, unsigned size) { snprintf(text, size, "NVIDIA Stand-in"); return OK; }
int nvmlDeviceGetUUID(void *device, char *text, unsigned size) { snprintf(text, size, "%s", UUIDS[number(device)]); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(long)(index + 1);
    return OK;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    for (int i = 0; i < 2; i++)
        if (strcmp(uuid, UUIDS[i]) == 0) return nvmlDeviceGetHandleByIndex_v2(i, device);
    return NOT_FOUND;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
    memory->total = 24ull << 30;
    return OK;
}

int nvmlDeviceGetPciInfo_v3(void *device, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x17 + number(device);
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, Process *processes) {
    FILE *held = fopen(getenv("NVML_HELD"), "r");
    unsigned found = 0, room = processes ? *count : 0, pid;
    unsigned long long bytes;
    long on;
    while (held && fscanf(held, "%ld %u %llu", &on, &pid, &bytes) == 3) {
        if (on != number(device)) continue;
        if (found < room) {
            processes[found] = (Process){pid, bytes, ~0u, ~0u};
            note("listed", pid);
        }
        found++;
    }
    if (held) fclose(held);
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}
