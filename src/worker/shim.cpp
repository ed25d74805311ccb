// What tch does not bind: libtorch's global switches and what it says of itself.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdio>
#include <string>

namespace {
// Copies as much as fits, always terminated; returns the whole length.
size_t copy(const std::string& text, char* buffer, size_t size) {
  return static_cast<size_t>(std::snprintf(buffer, size, "%s", text.c_str()));
}
}  // namespace

extern "C" {
// 0 highest, 1 high, 2 medium.
void wan22_set_float32_matmul_precision(int level) {
  static const char* const names[] = {"highest", "high", "medium"};
  at::globalContext().setFloat32MatmulPrecision(names[level]);
}
int wan22_float32_matmul_precision() {
  switch (at::globalContext().float32MatmulPrecision()) {
    case at::Float32MatmulPrecision::HIGHEST: return 0;
    case at::Float32MatmulPrecision::HIGH: return 1;
    case at::Float32MatmulPrecision::MEDIUM: return 2;
  }
  return -1;
}
size_t wan22_parallel_info(char* buffer, size_t size) { return copy(at::get_parallel_info(), buffer, size); }
size_t wan22_show_config(char* buffer, size_t size) { return copy(at::show_config(), buffer, size); }
size_t wan22_cpu_capability(char* buffer, size_t size) { return copy(at::get_cpu_capability(), buffer, size); }
}
