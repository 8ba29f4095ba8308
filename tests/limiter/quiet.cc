// The least that the library can be loaded into (load_test.cc).
int main() {}
