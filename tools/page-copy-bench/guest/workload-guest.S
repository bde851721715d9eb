# The workload guest: a boot sector and what follows it. It loads an image of its memory from the disk by the BIOS,
# then writes in a ring of pages at a steady rate, and sums the memory that must not change.
# src/guest-program.ts holds it assembled; guest/README.md says how.
.set PARAMETERS, 0x8b00
.set IMAGE_CHUNKS, PARAMETERS + 0       # of 32 KiB
.set IMAGE_SECTOR, PARAMETERS + 4
.set HOT_PAGES, PARAMETERS + 8
.set HOT_BASE, PARAMETERS + 12
.set WRITES_PER_TICK, PARAMETERS + 16
.set FULL_PAGES, PARAMETERS + 20        # 0: records of 256 bytes, 1: whole pages of noise
.set DIVISOR, PARAMETERS + 24
.set SUM_PAGES_PER_TICK, PARAMETERS + 28
.set STATIC_PAGES, PARAMETERS + 32
.set IMAGE_BASE, 0x200000
.set BOUNCE, 0x10000

.code16
.globl _start
_start:
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw $0x7c00, %sp
  sti
  ljmp $0, $first
first:
  movb %dl, drive
  movw $7, dap_count
  movw $0x7e00, dap_offset
  movl $1, dap_sector
  call read_sectors
  jmp load

read_sectors:
  movw $dap, %si
  movb drive, %dl
  movb $0x42, %ah
  int $0x13
  jc broken
  ret
broken:
  movw $0x3f8, %dx
  movb $'E', %al
  outb %al, %dx
  hlt
  jmp broken

.balign 4
dap: .byte 16, 0
dap_count: .word 0
dap_offset: .word 0
dap_segment: .word 0
dap_sector: .long 0, 0
drive: .byte 0

.org 0x1fe
.word 0xaa55

load:
  movl IMAGE_SECTOR, %eax
  movl %eax, dap_sector
  movw $64, dap_count
  movw $0, dap_offset
  movw $(BOUNCE >> 4), dap_segment
next_chunk:
  call read_sectors
  movl destination, %eax
  movw %ax, move_to + 2
  shrl $16, %eax
  movb %al, move_to + 4
  movb %ah, move_to + 7
  movw $0x4000, %cx
  movw $move_table, %si
  movb $0x87, %ah
  int $0x15
  jc broken
  addl $0x8000, destination
  addl $64, dap_sector
  decl IMAGE_CHUNKS
  jnz next_chunk

  cli
  inb $0x92, %al
  orb $2, %al
  outb %al, $0x92
  lgdtl gdt_pointer
  movl %cr0, %eax
  orb $1, %al
  movl %eax, %cr0
  ljmpl $8, $protected

.balign 8
move_table:
  .quad 0, 0
  .word 0xffff, 0x0000
  .byte BOUNCE >> 16, 0x93, 0, 0
move_to:
  .word 0xffff, 0
  .byte 0, 0x93, 0, 0
  .quad 0, 0
destination: .long IMAGE_BASE
gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer: .word 23
  .long gdt
idt_pointer: .word 33 * 8 - 1
  .long 0x6000

.code32
protected:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $0x7000, %esp
  movl $0x6000, %edi
  xorl %eax, %eax
  movl $66, %ecx
  rep stosl
  movl $irq0, %eax
  movw %ax, 0x6100
  movw $8, 0x6102
  movw $0x8e00, 0x6104
  shrl $16, %eax
  movw %ax, 0x6106
  lidt idt_pointer
  movb $0x11, %al
  outb %al, $0x20
  movb $32, %al
  outb %al, $0x21
  movb $4, %al
  outb %al, $0x21
  movb $1, %al
  outb %al, $0x21
  movb $0xfe, %al
  outb %al, $0x21
  movb $0xff, %al
  outb %al, $0xa1
  movb $0x34, %al
  outb %al, $0x43
  movl DIVISOR, %eax
  outb %al, $0x40
  movb %ah, %al
  outb %al, $0x40
  sti
tick:
  hlt
  incl ticks
  movl WRITES_PER_TICK, %ebp
  testl %ebp, %ebp
  jz sum
write:
  call noise
  mull HOT_PAGES                 # page = noise * pages / 2^32
  movl %edx, %ebx
  shll $12, %edx
  movl HOT_BASE, %edi
  addl %edx, %edi
  cmpl $0, FULL_PAGES
  jne full_page
  call noise
  movl %eax, %esi
  movl %ebx, %eax
  shll $8, %eax
  andl $0xf00, %eax              # every page has one record that is written
  addl %eax, %edi
  movl writes, %eax
  movl %eax, (%edi)
  movl ticks, %eax
  movl %eax, 4(%edi)
  incl 8(%edi)
  movl %ebx, 12(%edi)
  addl $16, %edi
  movl $4, %ecx
identity:
  call noise
  stosl
  decl %ecx
  jnz identity
  andl $0xfff0, %esi             # and text out of the first 64 KiB of the image
  addl $IMAGE_BASE, %esi
  movl $56, %ecx
  rep movsl
  jmp written
full_page:
  movl $1024, %ecx
whole:
  call noise
  stosl
  decl %ecx
  jnz whole
written:
  incl writes
  decl %ebp
  jnz write
sum:
  movl SUM_PAGES_PER_TICK, %ebp
  testl %ebp, %ebp
  jz report
sum_page:
  movl summed, %esi
  shll $12, %esi
  addl $IMAGE_BASE, %esi
  movl running_sum, %eax
  movl $1024, %ecx
sum_word:
  addl (%esi), %eax
  addl $4, %esi
  decl %ecx
  jnz sum_word
  movl %eax, running_sum
  incl summed
  movl summed, %ecx
  cmpl STATIC_PAGES, %ecx
  jb sum_more
  movl %eax, whole_sum
  incl passes
  movl $0, summed
  movl $0, running_sum
sum_more:
  decl %ebp
  jnz sum_page
report:
  testb $31, ticks
  jnz tick
  movb $'N', %bl
  movl ticks, %eax
  call put_field
  movb $'W', %bl
  movl writes, %eax
  call put_field
  movb $'P', %bl
  movl passes, %eax
  call put_field
  movb $'S', %bl
  movl whole_sum, %eax
  call put_field
  movb $10, %bl
  call put
  jmp tick

put_field:                        # bl names it, eax is it
  pushl %eax
  call put
  movb $'=', %bl
  call put
  popl %eax
  movl $8, %ecx
digit:
  roll $4, %eax
  movb %al, %bl
  andb $15, %bl
  addb $'0', %bl
  cmpb $'9', %bl
  jbe is_digit
  addb $39, %bl
is_digit:
  pushl %eax
  call put
  popl %eax
  decl %ecx
  jnz digit
  movb $' ', %bl
put:                              # bl to COM1
  movw $0x3fd, %dx
wait_line:
  inb %dx, %al
  testb $0x20, %al
  jz wait_line
  movb %bl, %al
  movw $0x3f8, %dx
  outb %al, %dx
  ret

noise:                            # xorshift32 (Marsaglia 2003); keeps all but eax
  pushl %edx
  movl seed, %eax
  movl %eax, %edx
  shll $13, %edx
  xorl %edx, %eax
  movl %eax, %edx
  shrl $17, %edx
  xorl %edx, %eax
  movl %eax, %edx
  shll $5, %edx
  xorl %edx, %eax
  movl %eax, seed
  popl %edx
  ret

irq0:
  pushl %eax
  movb $0x20, %al
  outb %al, $0x20
  popl %eax
  iret

.balign 4
seed: .long 0x9e3779b9
ticks: .long 0
writes: .long 0
summed: .long 0
running_sum: .long 0
whole_sum: .long 0
passes: .long 0
