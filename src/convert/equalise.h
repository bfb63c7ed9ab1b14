// Changes of a layer that keep its function and lose less when its weights become int8.
//
// An int8 row has one scale, so its error is set by its largest weight. Dividing each column of a
// matrix by its size flattens the rows, and whatever produces that input takes the factor: a norm's
// gain, or the row of the up-projection. No data is needed, because the 16-bit activations have
// range to spare (this is what makes outlier channels harmless).
#ifndef OTR_CONVERT_EQUALISE_H_
#define OTR_CONVERT_EQUALISE_H_

#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

#include "convert/float_model.h"

namespace otr::convert {

// Makes the columns of one or several matrices, and what produces them, the same size. First every
// row is added, then factors are made, then every row is divided. Rows come as blocks of whole
// rows, so that a matrix need not be in memory.
class ColumnEqualiser {
 public:
  explicit ColumnEqualiser(std::size_t columns);
  // What a zero gain silences must not set the scale of a row: such columns become zeros.
  explicit ColumnEqualiser(std::span<const float> gain);

  void add(std::span<float> rows);
  void make_factors();
  void divide(std::span<float> rows) const;
  [[nodiscard]] const std::vector<double>& factors() const { return values_; }
  // The gain takes the factors.
  void multiply(std::span<float> gain) const;

 private:
  void silence(std::span<float> rows) const;

  std::vector<double> values_;       // squares of the columns, then their factors
  std::vector<std::size_t> silent_;  // columns of zero gain
};

// Norm gain and the matrices that read the normed row.
void equalise_norm(std::vector<float>& gain, std::initializer_list<FloatMatrix*> readers);

// Rows of the up-projection and columns of the down-projection.
void equalise_ffn(FloatMatrix& up, FloatMatrix& down);

// Rows of the value projection and columns of the output projection, which the query heads of one
// key/value head share. A head's cached values are int8 with one exponent, so a large channel would
// cost the others their bits.
void equalise_values(FloatLayer& layer, const machine::Shape& shape);

// Folds score_scale·log2(e) into the queries: wq and its bias, or the q norm's gain (SPEC OP-8).
void fold_score_scale(FloatLayer& layer, double score_scale);

// Moves the v bias into o's, since attention weights sum to one (SPEC OP-9): one value for each row
// of wo, the o bias included; empty where there is neither.
[[nodiscard]] std::vector<double> fold_value_bias(const FloatLayer& layer,
                                                  const machine::Shape& shape);

// Where keys would be large (a bias of hundreds), scales the keys of a head down and its queries up
// by a power of two. Only without q/k norms. Returns the largest q or k that this layer is likely
// to produce: bias plus six standard deviations for a normed row of independent elements.
double balance_queries_and_keys(FloatLayer& layer, const machine::Shape& shape);

}  // namespace otr::convert

#endif  // OTR_CONVERT_EQUALISE_H_
