#ifndef STRATA_JOBS_H
#define STRATA_JOBS_H

// Names the calling thread for debuggers and top(1); longer names than 15 bytes are refused by Linux and then ignored.
void strata_name_thread(const char *name);
#endif
