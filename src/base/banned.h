/* base/banned.h - functions that may not be used, made unusable.
 *
 * Every file is compiled with -include banned.h, so there is no way around it by accident.  The headers that
 * declare these names come first: a poisoned name is an error wherever it turns up later, in a header too.
 *
 *     strcpy strcat strncpy    do not know or do not say where the target ends: struct lm_buf
 *     sprintf vsprintf         likewise: lm_buf or snprintf
 *     strtok                   hidden state, writes into its argument: struct lm_str
 *     atoi                     no error, undefined on overflow: the parsers of base/str.h
 *     gmtime localtime         shared static result, not safe with threads: the _r forms */
#ifndef LM_BASE_BANNED_H
#define LM_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#pragma GCC poison strcpy strcat strncpy sprintf vsprintf strtok atoi gmtime localtime

#endif
