"""What makes the vectors: bytes put together by hand, by nothing that the library itself uses."""
