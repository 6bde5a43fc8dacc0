/* carried.h: types of numbers that Glia has no arrays of, but whose numbers a wider dtype carries exactly: the narrow types of
 * ops/narrow.h. While a graph is built, the importer knows which values are of such a type, and keeps their whole numbers within it. */
#ifndef GLIA_ONNX_CARRIED_H
#define GLIA_ONNX_CARRIED_H

#include "onnx/read.h"
#include "ops/narrow.h"

/* The narrow type of this TensorProto.DataType; NULL: it is one of Glia's dtypes, or unknown. */
const glia_narrow_type *glia__onnx_narrow(int64_t data_type);
/* Bits of one number of this TensorProto.DataType, 0 when it is unknown, and whether it is a float. */
int glia__onnx_bits(int64_t data_type);
bool glia__onnx_is_float(int64_t data_type);
/* `elems` numbers from their bits, packed and little-endian, to the carrier. Where the bits lie behind, they may overlap. */
void glia__onnx_widen(const glia_narrow_type *type, const unsigned char *bits, size_t elems, void *wide);
/* x as this TensorProto.DataType, which is one of Glia's or narrow. Floats lose what follows the point; whole numbers beyond a narrow
 * type wrap. `saturate`: 8-bit floats beyond the most become the most. */
glia_value *glia__onnx_cast(glia_value *x, int64_t data_type, bool saturate);
/* round(y) + zero within the type, which is u8 or narrow; floats are only rounded to theirs. `zero` may be NULL. */
glia_value *glia__onnx_quantized(glia_value *y, glia_value *zero, int64_t type, bool saturate);
/* The TensorProto.DataType of input i; 0, and refused, when unknown. */
int64_t glia__onnx_number_type(glia_onnx_read *r, int i);
/* Result k is of this TensorProto.DataType. */
void glia__onnx_say_type(glia_onnx_read *r, int k, int64_t data_type);
/* Says of which types the results are, where they follow the inputs, and wraps whole numbers. */
void glia__onnx_carry(glia_onnx_read *r);

#endif
