"""Lines that kernels and tools print: KVM's tracepoints, read and paired."""
