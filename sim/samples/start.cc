// Entry point for programs that must run with any glibc: the start files of a new glibc ask for
// __libc_start_main@GLIBC_2.34. No constructors run, so a program with this entry must have none.
#include "sim/core/glibc_floor.h"

SIM_PIN(__libc_start_main);

#if defined(__x86_64__)
__asm__(
    ".text\n"
    ".globl _start\n"
    ".type _start,@function\n"
    "_start:\n"
    "  xorl %ebp, %ebp\n"
    "  movq %rdx, %r9\n"   // rtld_fini
    "  popq %rsi\n"        // argc
    "  movq %rsp, %rdx\n"  // argv
    "  andq $-16, %rsp\n"
    "  pushq %rax\n"
    "  pushq %rsp\n"
    "  xorl %r8d, %r8d\n"  // no fini
    "  xorl %ecx, %ecx\n"  // no init
    "  leaq main(%rip), %rdi\n"
    "  call __libc_start_main@PLT\n"
    "  hlt\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n"
    ".globl _start\n"
    ".type _start,%function\n"
    "_start:\n"
    "  mov x29, #0\n"
    "  mov x30, #0\n"
    "  mov x5, x0\n"
    "  ldr x1, [sp]\n"
    "  add x2, sp, #8\n"
    "  mov x6, sp\n"
    "  mov x3, #0\n"
    "  mov x4, #0\n"
    "  adrp x0, main\n"
    "  add x0, x0, :lo12:main\n"
    "  bl __libc_start_main\n"
    "  brk #0\n");
#endif
