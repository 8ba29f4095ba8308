// dlsym and dlvsym as every program of the container sees them.
//
// A name that is none of the driver's is passed on by a jump, so that the real function sees its
// true caller: RTLD_NEXT means "after the caller", and a call from here would change that. Names of
// the form cuX... and nvml... go to hami_choose_*, which returns the answer or kPassOn.
// No state, no lock, no log line on the way of foreign names.

#if defined(__x86_64__)

#define HAMI_NAME_TEST(foreign, ours) \
  "  test %rsi, %rsi\n"               \
  "  jz " foreign                     \
  "\n"                                \
  "  movzbl (%rsi), %eax\n"           \
  "  cmp $'c', %al\n"                 \
  "  jne 11f\n"                       \
  "  cmpb $'u', 1(%rsi)\n"            \
  "  jne " foreign                    \
  "\n"                                \
  "  movzbl 2(%rsi), %eax\n"          \
  "  sub $'A', %eax\n"                \
  "  cmp $25, %eax\n"                 \
  "  ja " foreign                     \
  "\n"                                \
  "  jmp " ours                       \
  "\n"                                \
  "11: cmp $'n', %al\n"               \
  "  jne " foreign                    \
  "\n"                                \
  "  cmpb $'v', 1(%rsi)\n"            \
  "  jne " foreign                    \
  "\n"                                \
  "  cmpb $'m', 2(%rsi)\n"            \
  "  jne " foreign                    \
  "\n"                                \
  "  cmpb $'l', 3(%rsi)\n"            \
  "  je " ours "\n"

__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl dlsym\n"
    ".type dlsym, @function\n"
    "dlsym:\n"
    "  .cfi_startproc\n"
    "  endbr64\n"
    HAMI_NAME_TEST("12f", "13f")
    "12: mov hami_real_dlsym(%rip), %rax\n"
    "  test %rax, %rax\n"
    "  jz 14f\n"
    "  jmp *%rax\n"
    "13: push %rdi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  push %rsi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  sub $8, %rsp\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  mov 24(%rsp), %rdx\n"
    "  call hami_choose_dlsym\n"
    "  add $8, %rsp\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rsi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rdi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  cmp $-1, %rax\n"
    "  je 12b\n"
    "  ret\n"
    "14: push %rdi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  push %rsi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  sub $8, %rsp\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  call hami_find_linker\n"
    "  add $8, %rsp\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rsi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rdi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  mov hami_real_dlsym(%rip), %rax\n"
    "  jmp *%rax\n"
    "  .cfi_endproc\n"
    ".size dlsym, .-dlsym\n"

    ".p2align 4\n"
    ".globl dlvsym\n"
    ".type dlvsym, @function\n"
    "dlvsym:\n"
    "  .cfi_startproc\n"
    "  endbr64\n"
    HAMI_NAME_TEST("12f", "13f")
    "12: mov hami_real_dlvsym(%rip), %rax\n"
    "  test %rax, %rax\n"
    "  jz 14f\n"
    "  jmp *%rax\n"
    "13: push %rdi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  push %rsi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  push %rdx\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  mov 24(%rsp), %rcx\n"
    "  call hami_choose_dlvsym\n"
    "  pop %rdx\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rsi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rdi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  cmp $-1, %rax\n"
    "  je 12b\n"
    "  ret\n"
    "14: push %rdi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  push %rsi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  push %rdx\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  call hami_find_linker\n"
    "  pop %rdx\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rsi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  pop %rdi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  mov hami_real_dlvsym(%rip), %rax\n"
    "  jmp *%rax\n"
    "  .cfi_endproc\n"
    ".size dlvsym, .-dlvsym\n");

#elif defined(__aarch64__)

#define HAMI_NAME_TEST(foreign, ours) \
  "  cbz x1, " foreign                \
  "\n"                                \
  "  ldrb w9, [x1]\n"                 \
  "  cmp w9, #'c'\n"                  \
  "  b.ne 11f\n"                      \
  "  ldrb w9, [x1, #1]\n"             \
  "  cmp w9, #'u'\n"                  \
  "  b.ne " foreign                   \
  "\n"                                \
  "  ldrb w9, [x1, #2]\n"             \
  "  sub w9, w9, #'A'\n"              \
  "  cmp w9, #25\n"                   \
  "  b.hi " foreign                   \
  "\n"                                \
  "  b " ours                         \
  "\n"                                \
  "11: cmp w9, #'n'\n"                \
  "  b.ne " foreign                   \
  "\n"                                \
  "  ldrb w9, [x1, #1]\n"             \
  "  cmp w9, #'v'\n"                  \
  "  b.ne " foreign                   \
  "\n"                                \
  "  ldrb w9, [x1, #2]\n"             \
  "  cmp w9, #'m'\n"                  \
  "  b.ne " foreign                   \
  "\n"                                \
  "  ldrb w9, [x1, #3]\n"             \
  "  cmp w9, #'l'\n"                  \
  "  b.eq " ours "\n"

// `caller` is the register in which hami_choose_* takes the return address.
#define HAMI_STUB(name, caller)                                                        \
  ".p2align 4\n"                                                                       \
  ".globl " name                                                                       \
  "\n"                                                                                 \
  ".type " name ", %function\n" name                                                   \
  ":\n"                                                                                \
  "  hint #34\n" HAMI_NAME_TEST("12f", "13f") "12: adrp x16, hami_real_" name          \
                                              "\n"                                     \
                                              "  ldr x16, [x16, :lo12:hami_real_" name \
                                              "]\n"                                    \
                                              "  cbz x16, 14f\n"                       \
                                              "  br x16\n"                             \
                                              "13: stp x29, x30, [sp, #-48]!\n"        \
                                              "  stp x0, x1, [sp, #16]\n"              \
                                              "  str x2, [sp, #32]\n"                  \
                                              "  mov x29, sp\n"                        \
                                              "  mov " caller                          \
                                              ", x30\n"                                \
                                              "  bl hami_choose_" name                 \
                                              "\n"                                     \
                                              "  mov x9, x0\n"                         \
                                              "  ldp x0, x1, [sp, #16]\n"              \
                                              "  ldr x2, [sp, #32]\n"                  \
                                              "  ldp x29, x30, [sp], #48\n"            \
                                              "  cmn x9, #1\n"                         \
                                              "  b.eq 12b\n"                           \
                                              "  mov x0, x9\n"                         \
                                              "  ret\n"                                \
                                              "14: stp x29, x30, [sp, #-48]!\n"        \
                                              "  stp x0, x1, [sp, #16]\n"              \
                                              "  str x2, [sp, #32]\n"                  \
                                              "  mov x29, sp\n"                        \
                                              "  bl hami_find_linker\n"                \
                                              "  ldp x0, x1, [sp, #16]\n"              \
                                              "  ldr x2, [sp, #32]\n"                  \
                                              "  ldp x29, x30, [sp], #48\n"            \
                                              "  adrp x16, hami_real_" name            \
                                              "\n"                                     \
                                              "  ldr x16, [x16, :lo12:hami_real_" name \
                                              "]\n"                                    \
                                              "  br x16\n"                             \
                                              ".size " name ", .-" name "\n"

__asm__(".text\n" HAMI_STUB("dlsym", "x2") HAMI_STUB("dlvsym", "x3"));

#endif
