/* What is no ONNX Runtime of a version that is known: its table has no interface, or there is no table. */

#include <stddef.h>

static const void *interface(unsigned version) { return NULL; }
static const char *version(void) { return VERSION; }

static const struct {
  const void *(*interface)(unsigned);
  const char *(*version)(void);
} table = {interface, version};

const void *OrtGetApiBase(void) { return HAS_TABLE ? &table : NULL; }
