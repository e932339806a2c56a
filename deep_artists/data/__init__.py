"""Sound files -> mel patches -> labelled sets. Nothing here needs PyTensor."""
