/* Records what a process asks of the disk under one folder, in order, for replaying a power cut at any moment.
 *
 * LD_PRELOAD it with RECORD_FOLDER and RECORD_LOG set. Each entry of the log is a line
 *     operation path offset length
 * followed by `length` bytes for a write: C created, W written, T truncated, S synced (a file or a folder),
 * R renamed (the new path is the data), U unlinked, A written to RECORD_FOLDER/acknowledged. Shared memory (-shm) is
 * left out: SQLite makes it anew. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define MAX_FDS 4096

static char *paths[MAX_FDS];
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_watched(const char *path) {
    const char *folder = getenv("RECORD_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0 && !strstr(path, "-shm");
}

static void note(char operation, const char *path, long long offset, long long length, const void *data) {
    char head[8192];
    if (strstr(path, "/acknowledged") && operation == 'W') operation = 'A';
    pthread_mutex_lock(&lock);
    if (log_fd < 0) log_fd = REAL(open)(getenv("RECORD_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    int n = snprintf(head, sizeof head, "%c %s %lld %lld\n", operation, path, offset, length);
    if (REAL(write)(log_fd, head, n) != n) abort();
    if (data && REAL(write)(log_fd, data, length) != length) abort();
    pthread_mutex_unlock(&lock);
}

static int opened(int fd, const char *path, int existed) {
    if (fd >= 0 && fd < MAX_FDS && is_watched(path)) {
        free(paths[fd]);
        paths[fd] = strdup(path);
        if (!existed) note('C', path, 0, 0, NULL);
    }
    return fd;
}

#define OPEN(name)                                                         \
    int name(const char *path, int flags, ...) {                           \
        va_list more;                                                      \
        va_start(more, flags);                                             \
        int mode = va_arg(more, int);                                      \
        va_end(more);                                                      \
        int existed = access(path, F_OK) == 0;                             \
        return opened(REAL(name)(path, flags, mode), path, existed);       \
    }
OPEN(open)
OPEN(open64)

int openat(int folder, const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    int existed = access(path, F_OK) == 0;
    return opened(REAL(openat)(folder, path, flags, mode), path, existed);
}

int close(int fd) {
    if (fd >= 0 && fd < MAX_FDS && paths[fd]) {
        free(paths[fd]);
        paths[fd] = NULL;
    }
    return REAL(close)(fd);
}

static const char *path_of(int fd) { return fd >= 0 && fd < MAX_FDS ? paths[fd] : NULL; }

ssize_t write(int fd, const void *data, size_t length) {
    off_t offset = path_of(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t written = REAL(write)(fd, data, length);
    if (written > 0 && path_of(fd)) note('W', path_of(fd), offset, written, data);
    return written;
}

#define PWRITE(name, offset_type)                                                     \
    ssize_t name(int fd, const void *data, size_t length, offset_type offset) {       \
        ssize_t written = REAL(name)(fd, data, length, offset);                       \
        if (written > 0 && path_of(fd)) note('W', path_of(fd), offset, written, data); \
        return written;                                                               \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_type)                                         \
    int name(int fd, offset_type size) {                                    \
        int result = REAL(name)(fd, size);                                  \
        if (result == 0 && path_of(fd)) note('T', path_of(fd), size, 0, NULL); \
        return result;                                                      \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                       \
    int name(int fd) {                                                   \
        int result = REAL(name)(fd);                                     \
        if (result == 0 && path_of(fd)) note('S', path_of(fd), 0, 0, NULL); \
        return result;                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    int result = REAL(unlink)(path);
    if (result == 0 && is_watched(path)) note('U', path, 0, 0, NULL);
    return result;
}

int rename(const char *from, const char *to) {
    int result = REAL(rename)(from, to);
    if (result == 0 && is_watched(from)) note('R', from, 0, strlen(to), to);
    return result;
}
