#include "CStrataMemory.h"
// A target needs a source; what there is stands in the header, so that it is compiled into its caller.
