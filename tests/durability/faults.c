// LD_PRELOAD: file calls below the server that do not do what they say. The file that $FAULTS names is read at every
// call; it holds one line "ACTION TEXT", and acts on files whose path contains TEXT:
//   skip TEXT    fsync and fdatasync report success and do nothing
//   fail TEXT    the next fsync or fdatasync reports EIO; then the file $FAULTS is removed
//   die TEXT     the process kills itself with SIGKILL instead of the next fsync or fdatasync
//   die-at-write TEXT  the same instead of the next write at an offset (SQLite's; uploads are appended)
//   readonly TEXT  whatever changes a file reports EROFS, as on a file system that was remounted read-only
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Is `action` ordered for this path?
static int ordered(const char* action, const char* path) {
  const int before = errno;
  char line[512] = "";
  const char* control = getenv("FAULTS");
  const int fd = control ? (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0) : -1;
  if (fd >= 0) {
    if (read(fd, line, sizeof line - 1) < 0) line[0] = 0;
    close(fd);
  }
  errno = before;
  line[strcspn(line, "\n")] = 0;
  const size_t length = strlen(action);
  return strncmp(line, action, length) == 0 && line[length] == ' ' && strstr(path, line + length + 1) != NULL;
}

static const char* path_of(int fd, char* path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length > 0 ? length : 0] = 0;
  return path;
}

static int ordered_fd(const char* action, int fd) {
  char path[PATH_MAX];
  return ordered(action, path_of(fd, path));
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))
#define READONLY_FD(fd) \
  if (ordered_fd("readonly", fd)) return errno = EROFS, -1;
#define READONLY(path) \
  if (ordered("readonly", path)) return errno = EROFS, -1;

static int sync_or_not(int fd, int (*real)(int)) {
  if (ordered_fd("skip", fd)) return 0;
  if (ordered_fd("die", fd)) kill(getpid(), SIGKILL);
  if (ordered_fd("fail", fd) && unlink(getenv("FAULTS")) == 0) return errno = EIO, -1;  // one caller only
  return real(fd);
}
int fsync(int fd) { return sync_or_not(fd, REAL(int, fsync, int)); }
int fdatasync(int fd) { return sync_or_not(fd, REAL(int, fdatasync, int)); }

static int open_or_not(int at, const char* path, int flags, mode_t mode) {
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)) {
    char full[PATH_MAX];
    if (path[0] == '/' || at == AT_FDCWD) {
      snprintf(full, sizeof full, "%s", path);
    } else {
      char base[PATH_MAX];
      snprintf(full, sizeof full, "%.2000s/%.2000s", path_of(at, base), path);
    }
    READONLY(full)
  }
  return (int)syscall(SYS_openat, at, path, flags, mode);
}
#define MODE                                            \
  mode_t mode = 0;                                      \
  if (flags & (O_CREAT | __O_TMPFILE)) {                \
    va_list more;                                       \
    va_start(more, flags);                              \
    mode = va_arg(more, mode_t);                        \
    va_end(more);                                       \
  }
int open(const char* path, int flags, ...) { MODE return open_or_not(AT_FDCWD, path, flags, mode); }
int open64(const char* path, int flags, ...) { MODE return open_or_not(AT_FDCWD, path, flags, mode); }
int openat(int at, const char* path, int flags, ...) { MODE return open_or_not(at, path, flags, mode); }
int openat64(int at, const char* path, int flags, ...) { MODE return open_or_not(at, path, flags, mode); }

ssize_t write(int fd, const void* data, size_t size) {
  READONLY_FD(fd)
  return syscall(SYS_write, fd, data, size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  READONLY_FD(fd)
  if (ordered_fd("die-at-write", fd)) kill(getpid(), SIGKILL);
  return syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  READONLY_FD(fd)
  if (ordered_fd("die-at-write", fd)) kill(getpid(), SIGKILL);
  return syscall(SYS_pwrite64, fd, data, size, at);
}
int ftruncate(int fd, off_t size) {
  READONLY_FD(fd)
  return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) {
  READONLY_FD(fd)
  return (int)syscall(SYS_ftruncate, fd, size);
}
int fchmod(int fd, mode_t mode) {
  READONLY_FD(fd)
  return (int)syscall(SYS_fchmod, fd, mode);
}
int mkdir(const char* path, mode_t mode) {
  READONLY(path)
  return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int unlink(const char* path) {
  READONLY(path)
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int rename(const char* from, const char* to) {
  READONLY(to)
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
