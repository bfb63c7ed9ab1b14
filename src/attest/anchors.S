/* The vendors' certificates in anchors/, as constants of the program (anchors.cc names them). */
    .macro certificate name, file
    .balign 8
    .globl otr_anchor_\name
    .hidden otr_anchor_\name
    .globl otr_anchor_\name\()_end
    .hidden otr_anchor_\name\()_end
otr_anchor_\name:
    .incbin "\file"
otr_anchor_\name\()_end:
    .endm

    .section .rodata
    certificate intel_root, "intel-sgx-root-ca.der"
    certificate intel_signing_2018, "intel-tcb-signing-2018.der"
    certificate intel_signing_2025, "intel-tcb-signing-2025.der"
    certificate amd_ark_milan, "amd-ark-milan.der"
    certificate amd_ask_milan, "amd-ask-milan.der"
    certificate amd_asvk_milan, "amd-asvk-milan.der"
    certificate amd_ark_genoa, "amd-ark-genoa.der"
    certificate amd_ask_genoa, "amd-ask-genoa.der"
    certificate amd_asvk_genoa, "amd-asvk-genoa.der"
    certificate amd_ark_turin, "amd-ark-turin.der"
    certificate amd_ask_turin, "amd-ask-turin.der"
    certificate amd_asvk_turin, "amd-asvk-turin.der"
    certificate nvidia_device, "nvidia-device-identity-ca.der"
    certificate nvidia_rim, "nvidia-rim-root.der"
    certificate nvidia_nras_004, "nvidia-nras-gpu-intermediate-004.der"
    certificate nitro_root, "aws-nitro-root-g1.der"
    .section .note.GNU-stack,"",%progbits
