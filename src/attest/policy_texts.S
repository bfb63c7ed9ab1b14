/* The policies in policies/, as constants of the program (policy_texts.cc names them). */
    .macro policy name, file
    .globl otr_policy_\name
    .hidden otr_policy_\name
    .globl otr_policy_\name\()_end
    .hidden otr_policy_\name\()_end
otr_policy_\name:
    .incbin "\file"
otr_policy_\name\()_end:
    .endm

    .section .rodata
    policy genuine, "genuine.toml"
    policy strict_example, "strict-example.toml"
    policy simulated_example, "simulated-example.toml"
    .section .note.GNU-stack,"",%progbits
