"""Eyes, cry, yawn and facial actions: anybody's labelled faces, fine-tuning on them, and figures with intervals."""
