"""The independent verifier of spec/PROOF.md: slow, plain, standard library only.

Written from PROOF.md and SPEC.md alone; rule ids stand in the comments. One module for each part:
field and transcript (PF), layout and opening (PC, PO), gkr (PL), circuit (PT), scalars and rows
(PS-3 ... PS-6), protocol (PR, PE), statement (PS-1, PS-2, PS-7, PS-8).
"""
