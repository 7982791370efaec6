/* What went wrong last, by thread: a code and what it is about, made into words when somebody asks (embed/table.pyx). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LAST_TEXT 512

static __thread struct { int code; unsigned long long about; char text[LAST_TEXT]; } last;

/* Notes a failure and gives its code back. about: a handle or an address. */
static inline int note_failure(int code, unsigned long long about)
{
    last.code = code;
    last.about = about;
    return code;
}

/* The same, with its text. */
static inline int note_text(int code, const char *text)
{
    note_failure(code, 0);
    snprintf(last.text, LAST_TEXT, "%s", text);
    return code;
}

static const char *last_failure(void)
{
    const unsigned long long about = last.about;
    switch (last.code) {
    case 0: return "";
    case -1001: snprintf(last.text, LAST_TEXT, "segmentation fault at 0x%llx", about); break;
    case -1002: snprintf(last.text, LAST_TEXT, "bus error at 0x%llx: beyond the end of the file", about); break;
    case -1003: snprintf(last.text, LAST_TEXT, "out of memory: no frame could be freed"); break;
    case -1101: snprintf(last.text, LAST_TEXT, "0x%llx is the handle of no open machine", about); break;
    case -1102: snprintf(last.text, LAST_TEXT, "another thread uses this machine at this moment: let threads take turns, or "
                         "give each a machine of its own"); break;
    case -1103: snprintf(last.text, LAST_TEXT, "this machine is in the middle of an operation: what runs meanwhile, such as a "
                         "hook of its scheme, may look at it but not change it"); break;
    case -1106: snprintf(last.text, LAST_TEXT, "the array is too small: room for %llu is needed", about); break;
    default:
        if (last.code > -1000) {
            snprintf(last.text, LAST_TEXT, "%s", strerror(-last.code));
        }
    }
    return last.text;
}
