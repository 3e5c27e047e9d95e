V = "sib"
