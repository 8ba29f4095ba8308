// hamictl: what runs where, and why not. Everything is in services/cli.
#include "services/cli/cli.h"

int main(int argc, char** argv) { return hami::cli::RunHamictl(argc, argv); }
