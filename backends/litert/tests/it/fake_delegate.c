/* A delegate of a few lines: it takes operators of the kind ADD, and answers with "factor" times the
 * first input instead of the sum. What happens to it is written to the file "log", a word a line.
 * The structures are those of tensorflow/lite/core/c/common.h, as far as they are used. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct { int32_t type; void *data; IntArray *dims; float scale; int32_t zero_point; int32_t allocation;
                 size_t bytes; const void *mapped; const char *name; void *delegate; int32_t buffer_handle;
                 _Bool stale, variable; int32_t quantization; void *params; void *sparsity; const IntArray *signature; } Tensor;
typedef struct { IntArray *inputs, *outputs, *intermediates, *temporaries; void *user_data; } Node;
struct Context;
typedef struct {
  void *(*init)(struct Context *, const char *, size_t);
  void (*free)(struct Context *, void *);
  int (*prepare)(struct Context *, Node *);
  int (*invoke)(struct Context *, Node *);
  const char *(*profiling)(const struct Context *, const Node *);
  int32_t builtin;
  const char *custom;
  int version;
  void *external;
  void *async_kernel;
  uint64_t in_place;
} Registration;
typedef struct Delegate {
  void *data;
  int (*prepare)(struct Context *, struct Delegate *);
  void *copy_from, *copy_to, *free;
  int64_t flags;
#ifndef OLD
  void *builder;
#endif
} Delegate;
typedef struct Context {
  size_t tensors_size;
  int (*plan)(struct Context *, IntArray **);
  Tensor *tensors;
  void *implementation;
  int (*resize)(struct Context *, Tensor *, IntArray *);
  void (*report)(struct Context *, const char *, ...);
  int (*add_tensors)(struct Context *, int, int *);
  int (*node)(struct Context *, int, Node **, Registration **);
  int (*replace)(struct Context *, Registration, const IntArray *, Delegate *);
} Context;

typedef struct { Delegate head; float factor; char log[4096]; int refuses; } Own;

enum { ADD = 0 };

static void tell(Own *own, const char *word) {
  FILE *file = own->log[0] ? fopen(own->log, "a") : NULL;
  if (file) { fprintf(file, "%s\n", word); fclose(file); }
}

static void *init(Context *context, const char *buffer, size_t length) {
  /* The start of TfLiteDelegateParams: the delegate. */
  Own *own = *(Own *const *)buffer;
  tell(own, "init");
  return own;
}
static void end(Context *context, void *own) { tell(own, "free"); }
static int ready(Context *context, Node *node) {
  const Tensor *from = context->tensors + node->inputs->data[0];
  IntArray *dims = malloc(sizeof(IntArray) + sizeof(int) * from->dims->size);
  memcpy(dims, from->dims, sizeof(IntArray) + sizeof(int) * from->dims->size);
  return context->resize(context, context->tensors + node->outputs->data[0], dims);
}
static int invoke(Context *context, Node *node) {
  const Tensor *from = context->tensors + node->inputs->data[0];
  Tensor *to = context->tensors + node->outputs->data[0];
  Own *own = node->user_data;
  for (size_t n = 0; n < from->bytes / sizeof(float); n++) {
    ((float *)to->data)[n] = own->factor * ((const float *)from->data)[n];
  }
  return 0;
}

static int prepare(Context *context, Delegate *delegate) {
  Own *own = (Own *)delegate;
  tell(own, "prepare");
  if (own->refuses) return 1;
  IntArray *plan;
  if (context->plan(context, &plan)) return 1;
  IntArray *taken = malloc(sizeof(IntArray) + sizeof(int) * plan->size);
  taken->size = 0;
  for (int n = 0; n < plan->size; n++) {
    Node *node;
    Registration *registration;
    if (context->node(context, plan->data[n], &node, &registration)) return 1;
    if (own->factor && registration->builtin == ADD) taken->data[taken->size++] = plan->data[n];
  }
  Registration kernel = {init, end, ready, invoke};
  kernel.builtin = 51; /* kTfLiteBuiltinDelegate */
  kernel.custom = "FakeDelegate";
  kernel.version = 1;
  int status = taken->size ? context->replace(context, kernel, taken, delegate) : 0;
  free(taken);
  return status;
}

Delegate *tflite_plugin_create_delegate(const char *const *names, const char *const *values, size_t count,
                                        void (*report)(const char *)) {
  Own *own = calloc(1, sizeof *own);
  own->head.prepare = prepare;
  for (size_t n = 0; n < count; n++) {
    if (!strcmp(names[n], "factor")) own->factor = strtof(values[n], NULL);
    else if (!strcmp(names[n], "log")) strncpy(own->log, values[n], sizeof own->log - 1);
    else if (!strcmp(names[n], "refuses")) own->refuses = 1;
    else if (!strcmp(names[n], "foreign")) own->head.prepare = NULL;
    else {
      char words[256];
      snprintf(words, sizeof words, "option '%s' is not known\n", names[n]);
      report(words);
      free(own);
      return NULL;
    }
  }
  tell(own, "create");
  return &own->head;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
  if (delegate) tell((Own *)delegate, "destroy");
  free(delegate);
}
