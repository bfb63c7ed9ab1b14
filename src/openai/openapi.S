/* The document of openapi.h. */
    .section .rodata
    .globl otr_openapi
    .hidden otr_openapi
otr_openapi:
    .incbin OTR_OPENAPI_FILE
    .globl otr_openapi_end
    .hidden otr_openapi_end
otr_openapi_end:
    .section .note.GNU-stack,"",%progbits
