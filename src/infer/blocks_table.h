/* infer/blocks_table.h - one product for each form of blocks.h from a general one; included once by each row.
 *
 * The row defines `struct view`, whose fields begin as below, and
 *     product(shape, outputs, view, rows, panel_count)
 * which becomes LM_BLOCK_FORM_COUNT functions, each for a shape that the compiler knows.  No include guard:
 * it is a template. */

#define PRODUCT(form)                                                                                        \
    static void product_##form(struct lm_outputs to, const void *x, size_t x_bytes, size_t rows,             \
                               const void *panels, size_t panel_bytes, size_t panel_count, size_t blocks)    \
    {                                                                                                        \
        static const struct lm_block_shape shapes[] = LM_BLOCK_SHAPES;                                       \
        product(shapes[LM_BLOCK_##form], to, (struct view){ x, panels, x_bytes, panel_bytes, blocks }, rows, \
                panel_count);                                                                                \
    }
PRODUCT(U8)
PRODUCT(U4)
PRODUCT(U4_F16)
PRODUCT(U4_F32)
PRODUCT(U8_F32)
PRODUCT(U8_HALF)
#undef PRODUCT

#define LM_BLOCK_PRODUCTS                                                                                    \
    {                                                                                                        \
        product_U8, product_U4, product_U4_F16, product_U4_F32, product_U8_F32, product_U8_HALF              \
    }
