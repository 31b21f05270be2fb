// Preloaded into a program, makes each of its syncs take longer by what the file named by SLOW_SYNC_FILE says, in milliseconds; the file may
// change at any time. What a sync promises stays as it is.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_first(void) {
  const char *path = getenv("SLOW_SYNC_FILE");
  if (path == NULL) return;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  char text[32] = {0};
  long milliseconds = read(file, text, sizeof text - 1) > 0 ? atol(text) : 0;
  close(file);
  if (milliseconds <= 0) return;
  struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

int fdatasync(int file) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_first();
  return real(file);
}

int fsync(int file) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  wait_first();
  return real(file);
}
