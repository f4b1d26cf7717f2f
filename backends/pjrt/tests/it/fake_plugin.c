/* A plugin of a few lines, with a table and no device: making a client fails as libtpu's does where there is no TPU.
 * The flags say what else is wrong with it. The structures are those of pjrt_c_api.h, as far as they are used. */

#include <stddef.h>
#include <string.h>

#ifndef MAJOR
#define MAJOR 0
#endif
#ifndef MINOR
#define MINOR 116
#endif
#ifndef PLACES
#define PLACES 140
#endif

typedef void *(*Function)(void *);
typedef struct { size_t size; void *extension; void *error; } Destroy;
typedef struct { size_t size; void *extension; const char *error; const char *text; size_t length; } Message;

/* An error is its own text. */
static void *destroy(void *arguments) { return NULL; }
static void *message(void *arguments) {
  Message *asked = arguments;
  asked->text = asked->error;
  asked->length = strlen(asked->error);
  return NULL;
}
static void *good(void *arguments) { return NULL; }
static void *bad(void *arguments) { return "TPU initialization failed: No jellyfish device found."; }

static struct {
  size_t size;
  void *extension;
  size_t version_size;
  void *version_extension;
  int major, minor;
  Function functions[PLACES];
} table = {sizeof table, NULL, 24, NULL, MAJOR, MINOR};

const void *GetPjrtApi(void) {
#ifdef NO_TABLE
  return NULL;
#endif
  table.functions[0] = destroy;
  table.functions[1] = message;
#ifdef BAD_START
  table.functions[3] = bad;
#else
  table.functions[3] = good;
#endif
#ifndef NO_CLIENT
  table.functions[10] = bad;
#endif
  return &table;
}
