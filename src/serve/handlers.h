#ifndef LM_SERVE_HANDLERS_H
#define LM_SERVE_HANDLERS_H
/* serve/handlers.h - what is done at the end of each row of the route table.
 *
 * The caller is known, the decision taken and recorded.  A handler fills x->reply, or sets x->fault. */

struct lm_exchange;

/* generate.c */
void lm_handle_generate(struct lm_exchange *x);

/* handlers.c: health, metrics, OpenAI's lists, feedback */
void lm_handle_health(struct lm_exchange *x);
void lm_handle_livez(struct lm_exchange *x);
void lm_handle_metrics(struct lm_exchange *x);
void lm_handle_models(struct lm_exchange *x);
void lm_handle_model(struct lm_exchange *x);
void lm_handle_feedback(struct lm_exchange *x);

/* administrator.c */
void lm_handle_model_management(struct lm_exchange *x);
void lm_handle_access_list(struct lm_exchange *x);
void lm_handle_access_change(struct lm_exchange *x);
void lm_handle_settings(struct lm_exchange *x);

/* insight.c: developer, analyst, end-user */
void lm_handle_model_details(struct lm_exchange *x);
void lm_handle_training(struct lm_exchange *x);
void lm_handle_debugging(struct lm_exchange *x);
void lm_handle_results(struct lm_exchange *x);
void lm_handle_help(struct lm_exchange *x);

#endif
