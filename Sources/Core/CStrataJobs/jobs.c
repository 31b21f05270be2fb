#define _GNU_SOURCE
#include "CStrataJobs.h"
#include <pthread.h>

void strata_name_thread(const char *name) {
#ifdef __APPLE__
  pthread_setname_np(name);
#else
  pthread_setname_np(pthread_self(), name);
#endif
}
