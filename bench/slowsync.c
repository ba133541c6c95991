/* Loaded before the C library: every sync to the disk takes 10 ms longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int fsync(int fd) {
    usleep(10000);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd) {
    usleep(10000);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
