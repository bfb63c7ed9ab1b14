/* The tables that gen_tables wrote, as constants of the program. */
    .section .rodata
    .balign 64
    .globl otr_tables
    .hidden otr_tables
otr_tables:
    .incbin OTR_TABLES_FILE
    .section .note.GNU-stack,"",%progbits
