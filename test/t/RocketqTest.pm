# RocketqTest.pm -- what every TAP test of rocketq uses: the exports of
# RocketqNode, RocketqExtents, RocketqFaults and RocketqLoad under one name.
package RocketqTest;

use strict;
use warnings;

use Exporter 'import';
use RocketqExtents;
use RocketqFaults;
use RocketqLoad;
use RocketqNode;

our @EXPORT = (@RocketqNode::EXPORT, @RocketqExtents::EXPORT, @RocketqFaults::EXPORT,
	@RocketqLoad::EXPORT);

1;
