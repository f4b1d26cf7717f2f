/* A library with all the names that are looked for, of a version that the flags say, and without a device. */

#include <stddef.h>

typedef struct { const char *build, *description; } Version;

int ov_get_openvino_version(Version *version) {
  version->build = VERSION;
  version->description = "a few lines of C";
  return 0;
}
void ov_version_free(Version *version) {}
const char *ov_get_last_err_msg(void) { return "there is no device"; }
void ov_free(const char *text) {}

#define FAILS(name) int ov_##name(void) { return -1; }
FAILS(core_create)
FAILS(core_free)
FAILS(core_read_model)
FAILS(core_compile_model)
FAILS(model_free)
FAILS(compiled_model_inputs_size)
FAILS(compiled_model_outputs_size)
FAILS(compiled_model_input_by_index)
FAILS(compiled_model_output_by_index)
FAILS(compiled_model_create_infer_request)
FAILS(compiled_model_free)
FAILS(port_get_element_type)
FAILS(port_get_partial_shape)
FAILS(partial_shape_free)
FAILS(output_const_port_free)
FAILS(tensor_create_from_host_ptr)
FAILS(tensor_get_element_type)
FAILS(tensor_get_shape)
FAILS(tensor_data)
FAILS(tensor_free)
FAILS(shape_free)
FAILS(infer_request_set_input_tensor_by_index)
FAILS(infer_request_set_output_tensor_by_index)
FAILS(infer_request_get_output_tensor_by_index)
FAILS(infer_request_infer)
FAILS(infer_request_free)
