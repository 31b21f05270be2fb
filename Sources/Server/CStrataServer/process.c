#include "CStrataServer.h"

#include <sys/resource.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

unsigned long long strata_heap_bytes(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  struct mallinfo2 info = mallinfo2();
  return (unsigned long long)info.uordblks + (unsigned long long)info.hblkhd;
#else
  return 0;
#endif
}

unsigned long long strata_peak_resident_bytes(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return (unsigned long long)usage.ru_maxrss * 1024;
}

void strata_processor_time(unsigned long long *user, unsigned long long *system) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return;
  *user = (unsigned long long)usage.ru_utime.tv_sec * 1000000 + (unsigned long long)usage.ru_utime.tv_usec;
  *system = (unsigned long long)usage.ru_stime.tv_sec * 1000000 + (unsigned long long)usage.ru_stime.tv_usec;
}
