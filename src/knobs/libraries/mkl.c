// Loaded before libtorch, answers what MKL asks of the processor: whether it is Intel's.
int mkl_serv_intel_cpu_true(void) { return 1; }
