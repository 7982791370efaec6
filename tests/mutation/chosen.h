/* Which mutant the process runs. Every module has the number: who has loaded them sets it, or the environment. */
#include <stdlib.h>
int rmapcore_mutant;
__attribute__((constructor)) static void rmapcore_choose(void)
{
    const char *number = getenv("RMAPCORE_MUTANT");
    rmapcore_mutant = number ? atoi(number) : 0;
}
