#ifndef TINY_WEIGHTS_H
#define TINY_WEIGHTS_H

extern const float tiny_w1[8][4];
extern const float tiny_b1[8];
extern const float tiny_w2[3][8];
extern const float tiny_b2[3];

#endif
